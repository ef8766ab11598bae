// Api: the functions of libcuda.so.1, opened at run time. Includes cuda.h: for src/driver/*.cpp only.
#pragma once

#include <cuda.h>

#include <string>

namespace sprue::driver {

// What every driver since CUDA 12.0 has and Sprue calls. cuda.h maps some names to a version of the function
// (cuMemAlloc to cuMemAlloc_v2); the members' names are mapped alike, and the text of the name is what
// cuGetProcAddress is asked for.
#define SPRUE_DRIVER_FUNCTIONS(X)                \
  X(cuInit)                                      \
  X(cuDriverGetVersion)                          \
  X(cuGetErrorName)                              \
  X(cuGetErrorString)                            \
  X(cuDeviceGetCount)                            \
  X(cuDeviceGetName)                             \
  X(cuDeviceGetAttribute)                        \
  X(cuDeviceTotalMem)                            \
  X(cuDevicePrimaryCtxRetain)                    \
  X(cuCtxGetDevice)                              \
  X(cuCtxSetCurrent)                             \
  X(cuCtxPushCurrent)                            \
  X(cuCtxPopCurrent)                             \
  X(cuCtxSynchronize)                            \
  X(cuLibraryLoadData)                           \
  X(cuLibraryUnload)                             \
  X(cuLibraryGetKernel)                          \
  X(cuKernelGetFunction)                         \
  X(cuKernelGetAttribute)                        \
  X(cuKernelSetAttribute)                        \
  X(cuOccupancyMaxActiveBlocksPerMultiprocessor) \
  X(cuOccupancyMaxActiveClusters)                \
  X(cuLaunchKernel)                              \
  X(cuLaunchKernelEx)                            \
  X(cuTensorMapEncodeTiled)                      \
  X(cuMemAlloc)                                  \
  X(cuMemFree)                                   \
  X(cuMemsetD8)                                  \
  X(cuMemcpyHtoD)                                \
  X(cuMemcpyDtoH)                                \
  X(cuMemcpyDtoDAsync)                           \
  X(cuMemPoolCreate)                             \
  X(cuMemPoolSetAttribute)                       \
  X(cuMemAllocFromPoolAsync)                     \
  X(cuMemFreeAsync)                              \
  X(cuStreamCreate)                              \
  X(cuStreamDestroy)                             \
  X(cuStreamSynchronize)                         \
  X(cuStreamIsCapturing)                         \
  X(cuStreamGetId)                               \
  X(cuStreamBeginCapture)                        \
  X(cuStreamEndCapture)                          \
  X(cuThreadExchangeStreamCaptureMode)           \
  X(cuGraphInstantiateWithFlags)                 \
  X(cuGraphLaunch)                               \
  X(cuGraphDestroy)                              \
  X(cuGraphExecDestroy)                          \
  X(cuEventCreate)                               \
  X(cuEventDestroy)                              \
  X(cuEventRecord)                               \
  X(cuEventSynchronize)                          \
  X(cuEventElapsedTime)

// Since 12.4; nullptr before.
#define SPRUE_OPTIONAL_DRIVER_FUNCTIONS(X) X(cuFuncLoad)

struct Api {
#define SPRUE_MEMBER(name) decltype(&::name) name = nullptr;
  SPRUE_DRIVER_FUNCTIONS(SPRUE_MEMBER)
  SPRUE_OPTIONAL_DRIVER_FUNCTIONS(SPRUE_MEMBER)
#undef SPRUE_MEMBER
};

/// The table; a few nanoseconds. CudaError with unavailable_reason() when there is no usable driver.
const Api& api();

/// "CUDA_ERROR_OUT_OF_MEMORY (2): out of memory"
std::string print(CUresult result);

/// CudaError: "cuMemAlloc failed: CUDA_ERROR_OUT_OF_MEMORY (2): out of memory; <detail>".
[[noreturn]] void fail(CUresult result, const char* call, const std::string& detail = {});

inline void check(CUresult result, const char* call) {
  if (result != CUDA_SUCCESS) [[unlikely]]
    fail(result, call);
}

/// Calls a function of the driver and throws if it fails: SPRUE_CUDA(cuMemAlloc, &pointer, bytes).
#define SPRUE_CUDA(function, ...) \
  ::sprue::driver::check(::sprue::driver::api().function(__VA_ARGS__), #function)

}  // namespace sprue::driver
