// Devices and contexts: there is one device, an H100 or what SPRUE_EMULATED_SM says.
#include <atomic>
#include <cstdio>
#include <cstdlib>

#include "emulator/driver.h"

namespace emulator {

int emulated_sm() {
  static const int sm = [] {
    const char* const given = std::getenv("SPRUE_EMULATED_SM");
    return given != nullptr ? std::atoi(given) : 90;
  }();
  return sm;
}

std::uint64_t next_seed() {
  static const std::uint64_t first = [] {
    const char* const given = std::getenv("SPRUE_EMULATED_SEED");
    return given != nullptr ? std::strtoull(given, nullptr, 10) : 0;
  }();
  static std::atomic<std::uint64_t> launches = 0;
  return first == 0 ? 0 : (first << 32) + launches++;
}

int shared_bytes_per_block() {
  const int sm = emulated_sm();
  return (sm == 90 || sm == 100 ? 227 : sm == 80 ? 163 : 99) * 1024;
}

namespace {

thread_local std::vector<CUdevice> contexts;  // of this thread; the last one is current
CUcontext const kContext = reinterpret_cast<CUcontext>(std::uintptr_t{256});

}  // namespace
}  // namespace emulator

using namespace emulator;

CUresult cuInit(unsigned) {
  return CUDA_SUCCESS;
}
CUresult cuDriverGetVersion(int* version) {
  *version = 13000;
  return CUDA_SUCCESS;
}
CUresult cuDeviceGetCount(int* count) {
  *count = 1;
  return CUDA_SUCCESS;
}
CUresult cuDeviceGetName(char* name, int bytes, CUdevice) {
  std::snprintf(name, static_cast<std::size_t>(bytes), "emulated sm_%d", emulated_sm());
  return CUDA_SUCCESS;
}
CUresult cuDeviceTotalMem(std::size_t* bytes, CUdevice) {
  *bytes = std::size_t{16} << 30;
  return CUDA_SUCCESS;
}

CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute attribute, CUdevice device) {
  if (device != 0) return CUDA_ERROR_INVALID_DEVICE;
  switch (attribute) {
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR:
      return *value = emulated_sm() / 10, CUDA_SUCCESS;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR:
      return *value = emulated_sm() % 10, CUDA_SUCCESS;
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT:
      return *value = kMultiprocessors, CUDA_SUCCESS;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN:
      return *value = shared_bytes_per_block(), CUDA_SUCCESS;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR:
      return *value = shared_bytes_per_block() + 1024, CUDA_SUCCESS;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK:
      return *value = 48 * 1024, CUDA_SUCCESS;
    case CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR:
      return *value = 65536, CUDA_SUCCESS;
    case CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE:
      return *value = 50 << 20, CUDA_SUCCESS;
    case CU_DEVICE_ATTRIBUTE_WARP_SIZE:
      return *value = 32, CUDA_SUCCESS;
    case CU_DEVICE_ATTRIBUTE_CLOCK_RATE:
      return *value = 1'980'000, CUDA_SUCCESS;
    case CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE:
      return *value = 2'619'000, CUDA_SUCCESS;
    case CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH:
      return *value = 5120, CUDA_SUCCESS;
    default:
      return CUDA_ERROR_NOT_SUPPORTED;
  }
}

CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice device) {
  if (device != 0) return CUDA_ERROR_INVALID_DEVICE;
  *context = kContext;
  return CUDA_SUCCESS;
}
CUresult cuCtxGetDevice(CUdevice* device) {
  if (contexts.empty()) return CUDA_ERROR_INVALID_CONTEXT;
  *device = contexts.back();
  return CUDA_SUCCESS;
}
CUresult cuCtxSetCurrent(CUcontext context) {
  contexts.clear();
  if (context != nullptr) contexts.push_back(0);
  return CUDA_SUCCESS;
}
CUresult cuCtxPushCurrent(CUcontext) {
  contexts.push_back(0);
  return CUDA_SUCCESS;
}
CUresult cuCtxPopCurrent(CUcontext* context) {
  if (contexts.empty()) return CUDA_ERROR_INVALID_CONTEXT;
  contexts.pop_back();
  *context = kContext;
  return CUDA_SUCCESS;
}
CUresult cuCtxSynchronize() {
  return CUDA_SUCCESS;
}
