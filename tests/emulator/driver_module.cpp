// Libraries, kernels and launches.
#include <cstdlib>
#include <cstring>
#include <mutex>

#include "emulator/driver.h"
#include "emulator/fault.h"
#include "emulator/launch.h"
#include "emulator/memory.h"

using namespace emulator;

namespace {

constexpr int kRegisters = 32;  // what the emulated compiler says of every kernel

Kernel* kernel_of(const void* handle) {
  return static_cast<Kernel*>(const_cast<void*>(handle));
}

std::unique_ptr<Library> load(std::string_view text) {
  const Module module = parse(text);
  auto library = std::make_unique<Library>();
  GlobalAddresses globals;
  for (const Variable& variable : module.variables) {
    if (variable.space == "shared") continue;
    void* const data = allocate(std::max<std::size_t>(variable.bytes, 1));
    std::memset(data, 0, variable.bytes);
    std::memcpy(data, variable.initial.data(), std::min(variable.bytes, variable.initial.size()));
    library->variables.push_back(data);
    globals.emplace_back(variable.name, reinterpret_cast<std::uintptr_t>(data));
  }
  const auto lines = std::make_shared<const std::vector<std::string>>(module.lines);
  for (const Function& function : module.functions) {
    library->kernels[function.name] =
        std::make_unique<Kernel>(Kernel{decode(function, module, globals, lines)});
  }
  return library;
}

CUresult launch(const Kernel& kernel, Launch l, void** arguments, CUstream stream) {
  const Program& program = kernel.program;
  const bool in_range =
      l.blocks() != 0 && l.threads() != 0 && l.threads() <= static_cast<unsigned>(program.most_threads);
  if (!in_range || l.grid[1] > 65535 || l.grid[2] > 65535) return CUDA_ERROR_INVALID_VALUE;
  if (l.shared_bytes > static_cast<unsigned>(kernel.dynamic_shared_limit)) return CUDA_ERROR_INVALID_VALUE;
  const bool given = l.cluster[0] * l.cluster[1] * l.cluster[2] > 1;
  for (int d = 0; d < 3; ++d) {
    if (program.cluster[0] != 0) {
      const auto required = static_cast<unsigned>(program.cluster[d]);
      if (given && l.cluster[d] != required) return CUDA_ERROR_INVALID_VALUE;
      l.cluster[d] = required;
    }
    if (l.cluster[d] == 0 || l.grid[d] % l.cluster[d] != 0) return CUDA_ERROR_INVALID_VALUE;
  }
  if (l.cooperative && l.blocks() > kMultiprocessors * (2048u / l.threads()))
    return CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE;
  l.program = &program;
  l.seed = next_seed();
  l.params.resize(program.param_bytes);
  // Sprue's kernels take one struct.
  if (!l.params.empty()) std::memcpy(l.params.data(), arguments[0], l.params.size());
  return submit(stream, [l = std::move(l)] {
    try {
      run(l);
      return CUDA_SUCCESS;
    } catch (const std::exception& error) {
      return report_fault(error.what());
    }
  });
}

}  // namespace

CUresult cuLibraryLoadData(CUlibrary* library, const void* image, CUjit_option*, void**, unsigned,
                           CUlibraryOption*, void**, unsigned) {
  const auto* const text = static_cast<const char*>(image);
  if (std::strncmp(text, "//", 2) != 0) return CUDA_ERROR_INVALID_IMAGE;
  try {
    *library = reinterpret_cast<CUlibrary>(load(text).release());
    return CUDA_SUCCESS;
  } catch (const std::exception& error) {
    return report_fault(std::string("the emulator cannot load this PTX: ") + error.what());
  }
}
CUresult cuLibraryUnload(CUlibrary library) {
  auto* const owned = reinterpret_cast<Library*>(library);
  for (void* variable : owned->variables) release(reinterpret_cast<std::uintptr_t>(variable));
  delete owned;
  return CUDA_SUCCESS;
}
CUresult cuLibraryGetKernel(CUkernel* kernel, CUlibrary library, const char* name) {
  const auto& kernels = reinterpret_cast<Library*>(library)->kernels;
  const auto found = kernels.find(name);
  if (found == kernels.end()) return CUDA_ERROR_NOT_FOUND;
  *kernel = reinterpret_cast<CUkernel>(found->second.get());
  return CUDA_SUCCESS;
}
CUresult cuKernelGetFunction(CUfunction* function, CUkernel kernel) {
  *function = reinterpret_cast<CUfunction>(kernel);
  return CUDA_SUCCESS;
}
CUresult cuFuncLoad(CUfunction) {
  return CUDA_SUCCESS;
}

CUresult cuKernelGetAttribute(int* value, CUfunction_attribute which, CUkernel handle, CUdevice) {
  const Kernel& kernel = *kernel_of(handle);
  switch (which) {
    case CU_FUNC_ATTRIBUTE_NUM_REGS:
      return *value = kRegisters, CUDA_SUCCESS;
    case CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES:
      return *value = static_cast<int>(kernel.program.local_bytes), CUDA_SUCCESS;
    case CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES:
      return *value = static_cast<int>(kernel.program.static_shared_bytes), CUDA_SUCCESS;
    case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
      return *value = kernel.program.most_threads, CUDA_SUCCESS;
    case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH:
      return *value = kernel.program.cluster[0], CUDA_SUCCESS;
    default:
      return CUDA_ERROR_NOT_SUPPORTED;
  }
}
CUresult cuKernelSetAttribute(CUfunction_attribute which, int value, CUkernel handle, CUdevice) {
  if (which != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES) return CUDA_SUCCESS;
  Kernel& kernel = *kernel_of(handle);
  if (value + static_cast<int>(kernel.program.static_shared_bytes) > shared_bytes_per_block())
    return CUDA_ERROR_INVALID_VALUE;
  kernel.dynamic_shared_limit = value;
  return CUDA_SUCCESS;
}
CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, CUfunction function, int threads,
                                                     std::size_t shared_bytes) {
  const Kernel& kernel = *kernel_of(function);
  const int by_threads = 2048 / std::max(threads, 64);
  const std::size_t used = shared_bytes + kernel.program.static_shared_bytes + 1024;
  const auto by_shared = static_cast<int>(static_cast<std::size_t>(shared_bytes_per_block() + 1024) / used);
  *blocks = std::min({by_threads, by_shared, 32});
  return CUDA_SUCCESS;
}
CUresult cuOccupancyMaxActiveClusters(int* clusters, CUfunction function, const CUlaunchConfig* config) {
  int blocks = 0;
  cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, function, static_cast<int>(config->blockDimX),
                                              config->sharedMemBytes);
  *clusters = std::max(1, kMultiprocessors * blocks / kernel_of(function)->program.cluster[0]);
  return CUDA_SUCCESS;
}

CUresult cuLaunchKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                        unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared_bytes,
                        CUstream stream, void** arguments, void**) {
  Launch l;
  l.grid[0] = grid_x, l.grid[1] = grid_y, l.grid[2] = grid_z;
  l.block[0] = block_x, l.block[1] = block_y, l.block[2] = block_z;
  l.shared_bytes = shared_bytes;
  return launch(*kernel_of(function), std::move(l), arguments, stream);
}

CUresult cuLaunchKernelEx(const CUlaunchConfig* config, CUfunction function, void** arguments, void**) {
  Launch l;
  l.grid[0] = config->gridDimX, l.grid[1] = config->gridDimY, l.grid[2] = config->gridDimZ;
  l.block[0] = config->blockDimX, l.block[1] = config->blockDimY, l.block[2] = config->blockDimZ;
  l.shared_bytes = config->sharedMemBytes;
  for (unsigned i = 0; i < config->numAttrs; ++i) {
    const CUlaunchAttribute& attribute = config->attrs[i];
    if (attribute.id == CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION) {
      l.cluster[0] = attribute.value.clusterDim.x;
      l.cluster[1] = attribute.value.clusterDim.y;
      l.cluster[2] = attribute.value.clusterDim.z;
    } else if (attribute.id == CU_LAUNCH_ATTRIBUTE_COOPERATIVE) {
      l.cooperative = attribute.value.cooperative != 0;
    } else if (attribute.id != CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION) {
      return CUDA_ERROR_NOT_SUPPORTED;  // launches follow each other: a programmatic one has nothing to wait
                                        // for
    }
  }
  return launch(*kernel_of(function), std::move(l), arguments, config->hStream);
}
