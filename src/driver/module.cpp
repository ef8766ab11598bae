#include "driver/module.h"

#include <fmt/format.h>

#include <utility>

#include "driver/api.h"
#include "driver/device.h"

namespace sprue::driver {
namespace {

/// The kernel in the current context; loads it if it is not loaded there.
CUfunction function_of(CUkernel kernel) {
  CUfunction function = nullptr;
  SPRUE_CUDA(cuKernelGetFunction, &function, kernel);
  return function;
}

}  // namespace

Module::Module(std::string_view image, std::string entry) : entry_(std::move(entry)) {
  const RelaxedCapture relaxed;
  SPRUE_CUDA(cuLibraryLoadData, &library_, image.data(), nullptr, nullptr, 0, nullptr, nullptr, 0);
  const CUresult result = api().cuLibraryGetKernel(&kernel_, library_, entry_.c_str());
  if (result == CUDA_SUCCESS) return;
  api().cuLibraryUnload(library_);
  fail(result, "cuLibraryGetKernel", fmt::format("the cubin must have a kernel named {}", entry_));
}

Module::~Module() {
  if (library_) api().cuLibraryUnload(library_);  // fails harmlessly when the driver has shut down before
}

Module::Module(Module&& other) noexcept {
  *this = std::move(other);
}

Module& Module::operator=(Module&& other) noexcept {
  std::swap(entry_, other.entry_);
  std::swap(library_, other.library_);
  std::swap(kernel_, other.kernel_);
  return *this;
}

void Module::prepare(int device, int shared_bytes) const {
  const RelaxedCapture relaxed;
  const ScopedDevice scope(device);
  const CUresult result = api().cuKernelSetAttribute(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                                                     shared_bytes, kernel_, device);
  if (result != CUDA_SUCCESS) {
    const DeviceInfo& info = device_info(device);
    fail(result, "cuKernelSetAttribute",
         fmt::format("{} needs {} bytes of dynamic shared memory per block; device {} ({}, {}) allows {}",
                     entry_, shared_bytes, device, info.name, info.architecture.name(),
                     info.shared_bytes_per_block));
  }
  const CUfunction function = function_of(kernel_);
  if (api().cuFuncLoad) SPRUE_CUDA(cuFuncLoad, function);
}

KernelAttributes Module::attributes(int device) const {
  const ScopedDevice scope(device);
  const auto get = [&](CUfunction_attribute which) {
    int value = 0;
    SPRUE_CUDA(cuKernelGetAttribute, &value, which, kernel_, device);
    return value;
  };
  return {.registers = get(CU_FUNC_ATTRIBUTE_NUM_REGS),
          .local_bytes = get(CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES),
          .static_shared_bytes = get(CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES),
          .most_threads = get(CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK)};
}

int Module::blocks_per_multiprocessor(int device, int threads, int shared_bytes) const {
  const ScopedDevice scope(device);
  int blocks = 0;
  SPRUE_CUDA(cuOccupancyMaxActiveBlocksPerMultiprocessor, &blocks, function_of(kernel_), threads,
             static_cast<std::size_t>(shared_bytes));
  return blocks;
}

int Module::clusters_at_once(int device, int threads, int shared_bytes) const {
  const ScopedDevice scope(device);
  int width = 0, clusters = 0;
  SPRUE_CUDA(cuKernelGetAttribute, &width, CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH, kernel_, device);
  if (width == 0) return 0;
  CUlaunchConfig config = {};
  config.gridDimX = static_cast<unsigned>(width);
  config.gridDimY = config.gridDimZ = 1;
  config.blockDimX = static_cast<unsigned>(threads);
  config.blockDimY = config.blockDimZ = 1;
  config.sharedMemBytes = static_cast<unsigned>(shared_bytes);
  SPRUE_CUDA(cuOccupancyMaxActiveClusters, &clusters, function_of(kernel_), &config);
  return clusters;
}

}  // namespace sprue::driver
