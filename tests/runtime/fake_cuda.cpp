// The fake driver: a shared library that calls itself libcuda.so.1. Without cuda.h, so only what the runtime
// needs.
#include "runtime/fake_cuda.h"

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <map>
#include <mutex>
#include <string>

FakeCuda fake_cuda;

namespace {

constexpr int kSuccess = 0, kOutOfMemory = 2, kInvalidContext = 201, kNotSupported = 801;
constexpr int kMajor = 75, kMinor = 76, kMultiprocessors = 16, kSharedOptIn = 97, kL2Bytes = 38;

thread_local int current = -1;

/// A handle is its number.
template <class Handle>
void set(Handle* out, std::intptr_t number) {
  std::memcpy(out, &number, sizeof number);
}
int device_of(void* context) {
  return static_cast<int>(reinterpret_cast<std::intptr_t>(context)) - 1;
}

int init(unsigned) {
  return kSuccess;
}
int driver_version(int* version) {
  return *version = 13000, kSuccess;
}
int error_name(int, const char** name) {
  return *name = "CUDA_ERROR_FAKE", kSuccess;
}
int error_string(int, const char** text) {
  return *text = "as the test wants it", kSuccess;
}
int device_count(int* count) {
  return *count = 3, kSuccess;
}
int device_name(char* name, int bytes, int device) {
  std::snprintf(name, static_cast<std::size_t>(bytes), "fake %d", device);
  return kSuccess;
}
int device_attribute(int* value, int attribute, int device) {
  const bool old = device == 2;
  *value = attribute == kMajor             ? (old ? 7 : 9)
           : attribute == kMinor           ? (old ? 5 : 0)
           : attribute == kMultiprocessors ? 132
           : attribute == kSharedOptIn     ? 227 * 1024
           : attribute == kL2Bytes         ? 50 << 20
                                           : 1;
  return kSuccess;
}
int total_memory(std::size_t* bytes, int) {
  return *bytes = std::size_t{80} << 30, kSuccess;
}
int retain(void** context, int device) {
  return set(context, device + 1), kSuccess;
}
int get_device(int* device) {
  return *device = current, current < 0 ? kInvalidContext : kSuccess;
}
int set_current(void* context) {
  return current = device_of(context), kSuccess;
}
thread_local int pushed = -1;
int push_current(void* context) {
  return pushed = current, set_current(context);
}
int pop_current(void**) {
  return current = pushed, kSuccess;
}
int library_load(void** library, const void* image, void*, void*, unsigned, void*, void*, unsigned) {
  if (std::memcmp(image, "\177ELF", 4) != 0) return 200;  // CUDA_ERROR_INVALID_IMAGE
  return set(library, ++fake_cuda.libraries_loaded), kSuccess;
}
int library_unload(void*) {
  return ++fake_cuda.libraries_unloaded, kSuccess;
}

std::mutex names_mutex;
std::map<void*, std::string> names;  // of kernels; a library has one, and its handle is the library's

int library_kernel(void** kernel, void* library, const char* name) {
  const std::lock_guard lock(names_mutex);
  names[library] = name;
  return *kernel = library, kSuccess;
}
int kernel_function(void** function, void* kernel) {
  return *function = kernel, kSuccess;
}
int kernel_set(int, int, void*, int) {
  return ++fake_cuda.kernels_prepared, kSuccess;
}
int kernel_get(int* value, int, void*, int) {
  return *value = 0, kSuccess;
}
int occupancy(int* blocks, void*, int, std::size_t) {
  return *blocks = 4, kSuccess;
}
std::size_t params_bytes(void* kernel) {
  const std::lock_guard lock(names_mutex);
  return fake_cuda.params_bytes == nullptr ? 0 : fake_cuda.params_bytes(names.at(kernel).c_str());
}
int launch(void* kernel, unsigned x, unsigned, unsigned, unsigned threads, unsigned, unsigned,
           unsigned shared_bytes, void* stream, void** params, void**) {
  ++fake_cuda.launches;
  fake_cuda.blocks = x;
  fake_cuda.threads = threads;
  fake_cuda.shared_bytes = shared_bytes;
  fake_cuda.stream = stream;
  std::memcpy(fake_cuda.params, params[0], params_bytes(kernel));
  return fake_cuda.launch_result;
}
int encode_tiled(void* map, int type, unsigned rank, void* data, const std::uint64_t* shape,
                 const std::uint64_t* stride_bytes, const std::uint32_t* box, const std::uint32_t*, int,
                 int swizzle, int, int) {
  const int index = fake_cuda.tensor_maps_made++ % 4;
  FakeTensorMap& made = fake_cuda.tensor_maps[index];
  made = {type, static_cast<int>(rank), swizzle, data, {}, {}, {}};
  std::memcpy(made.shape, shape, rank * sizeof *shape);
  std::memcpy(made.stride_bytes, stride_bytes, (rank - 1) * sizeof *stride_bytes);
  std::memcpy(made.box, box, rank * sizeof *box);
  std::memset(map, index, 128);
  return kSuccess;
}
int is_capturing(void*, int* status) {
  return *status = fake_cuda.capturing, kSuccess;
}
int stream_id(void* stream, unsigned long long* id) {
  return *id = reinterpret_cast<std::uintptr_t>(stream) + 1, kSuccess;
}
int allocate(unsigned long long* data, std::size_t) {
  return *data = 4096 * static_cast<unsigned>(++fake_cuda.allocations), kSuccess;
}
int release(unsigned long long) {
  return ++fake_cuda.frees, kSuccess;
}
int copy_to_device(unsigned long long, const void*, std::size_t) {
  return kSuccess;
}
int exchange_mode(int*) {
  return kSuccess;
}
int func_load(void*) {
  return kSuccess;
}
int pool_create(void** pool, const void*) {
  return set(pool, 1), kSuccess;
}
int pool_set(void*, int, void*) {
  return kSuccess;
}
int pool_allocate(unsigned long long* data, std::size_t, void*, void*) {
  if (fake_cuda.out_of_memory) return kOutOfMemory;
  return *data = 4096 * static_cast<unsigned>(++fake_cuda.allocations), kSuccess;
}
int pool_free(unsigned long long, void*) {
  return ++fake_cuda.frees, kSuccess;
}
int unsupported() {
  return kNotSupported;
}

template <class Function>
void* pointer(Function* function) {
  return reinterpret_cast<void*>(function);
}

const struct {
  const char* name;
  void* function;
} kFunctions[] = {{"cuInit", pointer(init)},
                  {"cuDriverGetVersion", pointer(driver_version)},
                  {"cuGetErrorName", pointer(error_name)},
                  {"cuGetErrorString", pointer(error_string)},
                  {"cuDeviceGetCount", pointer(device_count)},
                  {"cuDeviceGetName", pointer(device_name)},
                  {"cuDeviceGetAttribute", pointer(device_attribute)},
                  {"cuDeviceTotalMem", pointer(total_memory)},
                  {"cuDevicePrimaryCtxRetain", pointer(retain)},
                  {"cuCtxGetDevice", pointer(get_device)},
                  {"cuCtxSetCurrent", pointer(set_current)},
                  {"cuCtxPushCurrent", pointer(push_current)},
                  {"cuCtxPopCurrent", pointer(pop_current)},
                  {"cuLibraryLoadData", pointer(library_load)},
                  {"cuLibraryUnload", pointer(library_unload)},
                  {"cuLibraryGetKernel", pointer(library_kernel)},
                  {"cuKernelGetFunction", pointer(kernel_function)},
                  {"cuKernelGetAttribute", pointer(kernel_get)},
                  {"cuKernelSetAttribute", pointer(kernel_set)},
                  {"cuOccupancyMaxActiveBlocksPerMultiprocessor", pointer(occupancy)},
                  {"cuLaunchKernel", pointer(launch)},
                  {"cuTensorMapEncodeTiled", pointer(encode_tiled)},
                  {"cuStreamIsCapturing", pointer(is_capturing)},
                  {"cuStreamGetId", pointer(stream_id)},
                  {"cuMemAlloc", pointer(allocate)},
                  {"cuMemFree", pointer(release)},
                  {"cuMemcpyHtoD", pointer(copy_to_device)},
                  {"cuThreadExchangeStreamCaptureMode", pointer(exchange_mode)},
                  {"cuFuncLoad", pointer(func_load)},
                  {"cuMemPoolCreate", pointer(pool_create)},
                  {"cuMemPoolSetAttribute", pointer(pool_set)},
                  {"cuMemAllocFromPoolAsync", pointer(pool_allocate)},
                  {"cuMemFreeAsync", pointer(pool_free)}};

}  // namespace

void fake_cuda_set_device(int device) {
  current = device;
}

extern "C" int cuGetProcAddress_v2(const char* name, void** function, int, unsigned long long, int* found) {
  *function = pointer(unsupported);
  *found = 0;
  for (const auto& known : kFunctions) {
    if (std::strcmp(known.name, name) == 0) *function = known.function;
  }
  return kSuccess;
}
