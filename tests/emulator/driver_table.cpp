// cuGetProcAddress: the one symbol of libcuda.so.1 that Sprue looks up; and the names of errors.
#include <cstring>
#include <mutex>

#include "driver/api.h"
#include "emulator/driver.h"

namespace emulator {
namespace {

std::mutex fault_mutex;
std::string& last_fault() {
  static auto* const text = new std::string("a kernel has failed");
  return *text;
}

constexpr struct {
  CUresult code;
  const char* name;
  const char* text;
} kErrors[] = {
    {CUDA_SUCCESS, "CUDA_SUCCESS", "no error"},
    {CUDA_ERROR_INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {CUDA_ERROR_OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {CUDA_ERROR_INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {CUDA_ERROR_INVALID_IMAGE, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"},
    {CUDA_ERROR_INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {CUDA_ERROR_NO_BINARY_FOR_GPU, "CUDA_ERROR_NO_BINARY_FOR_GPU",
     "no kernel image is available for the device"},
    {CUDA_ERROR_NOT_FOUND, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE, "CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE",
     "too many blocks in cooperative launch"},
    {CUDA_ERROR_NOT_SUPPORTED, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported by the emulator"},
    {CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED",
     "capture was invalidated"},
};

}  // namespace

CUresult report_fault(const std::string& text) {
  const std::lock_guard lock(fault_mutex);
  last_fault() = text;
  return CUDA_ERROR_LAUNCH_FAILED;
}

}  // namespace emulator

using namespace emulator;

CUresult cuGetErrorName(CUresult error, const char** name) {
  *name = error == CUDA_ERROR_LAUNCH_FAILED ? "CUDA_ERROR_LAUNCH_FAILED" : "CUDA_ERROR_UNKNOWN";
  for (const auto& known : kErrors) {
    if (known.code == error) *name = known.name;
  }
  return CUDA_SUCCESS;
}

CUresult cuGetErrorString(CUresult error, const char** text) {
  *text = "unknown error";
  for (const auto& known : kErrors) {
    if (known.code == error) *text = known.text;
  }
  if (error == CUDA_ERROR_LAUNCH_FAILED) {
    // Kept for as long as the thread does not ask again.
    thread_local std::string copy;
    const std::lock_guard lock(fault_mutex);
    copy = last_fault();
    *text = copy.c_str();
  }
  return CUDA_SUCCESS;
}

#define EMULATOR_ENTRY(name) {#name, reinterpret_cast<void*>(&::name)},
static const struct {
  const char* name;
  void* function;
} kFunctions[] = {SPRUE_DRIVER_FUNCTIONS(EMULATOR_ENTRY) SPRUE_OPTIONAL_DRIVER_FUNCTIONS(EMULATOR_ENTRY)};

extern "C" __attribute__((visibility("default"))) CUresult cuGetProcAddress_v2(
    const char* name, void** function, int, cuuint64_t, CUdriverProcAddressQueryResult* found) {
  for (const auto& known : kFunctions) {
    if (std::strcmp(known.name, name) != 0) continue;
    *function = known.function;
    if (found != nullptr) *found = CU_GET_PROC_ADDRESS_SUCCESS;
    return CUDA_SUCCESS;
  }
  *function = nullptr;
  if (found != nullptr) *found = CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
  return CUDA_SUCCESS;
}
