#include "driver/memory.h"

#include <fmt/format.h>

#include <bit>
#include <cstdint>
#include <map>
#include <mutex>
#include <utility>

#include "driver/api.h"
#include "driver/device.h"
#include "sprue/error.h"

namespace sprue::driver {
namespace {

CUdeviceptr address(const void* data) {
  return std::bit_cast<std::uintptr_t>(data);
}
void* pointer(CUdeviceptr address) {
  return std::bit_cast<void*>(static_cast<std::uintptr_t>(address));
}

void check_range(std::size_t wanted, std::size_t bytes) {
  if (wanted > bytes)
    throw ArgumentError(
        fmt::format("a copy must be at most the buffer's {} bytes, but is {}", bytes, wanted));
}

CUmemoryPool make_pool(int device) {
  CUmemPoolProps properties = {};
  properties.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
  properties.location.id = device;
  CUmemoryPool pool = nullptr;
  SPRUE_CUDA(cuMemPoolCreate, &pool, &properties);
  cuuint64_t keep = UINT64_MAX;
  SPRUE_CUDA(cuMemPoolSetAttribute, pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &keep);
  return pool;
}

CUmemoryPool pool_of(int device) {
  static std::mutex mutex;
  static auto* const pools = new std::map<int, CUmemoryPool>;  // never destroyed, like the driver
  const std::lock_guard lock(mutex);
  CUmemoryPool& pool = (*pools)[device];
  if (!pool) pool = make_pool(device);
  return pool;
}

}  // namespace

DeviceBuffer::DeviceBuffer(std::size_t bytes) : bytes_(bytes), device_(current_device()) {
  if (bytes == 0) return;
  CUdeviceptr allocated = 0;
  const CUresult result = api().cuMemAlloc(&allocated, bytes);
  if (result != CUDA_SUCCESS)
    fail(result, "cuMemAlloc", fmt::format("{} bytes on device {}", bytes, device_));
  data_ = pointer(allocated);
}

DeviceBuffer::~DeviceBuffer() {
  if (!data_) return;
  try {
    const ScopedDevice scope(device_);
    api().cuMemFree(address(data_));
  } catch (const Error&) {  // the driver has shut down, and with it the memory has gone
  }
}

DeviceBuffer::DeviceBuffer(DeviceBuffer&& other) noexcept {
  *this = std::move(other);
}

DeviceBuffer& DeviceBuffer::operator=(DeviceBuffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  std::swap(device_, other.device_);
  return *this;
}

void DeviceBuffer::copy_from_host(const void* source, std::size_t bytes) {
  check_range(bytes, bytes_);
  const ScopedDevice scope(device_);
  if (bytes != 0) SPRUE_CUDA(cuMemcpyHtoD, address(data_), source, bytes);
}

void DeviceBuffer::copy_to_host(void* target, std::size_t bytes) const {
  check_range(bytes, bytes_);
  const ScopedDevice scope(device_);
  if (bytes != 0) SPRUE_CUDA(cuMemcpyDtoH, target, address(data_), bytes);
}

void DeviceBuffer::fill(unsigned char value) {
  const ScopedDevice scope(device_);
  if (bytes_ != 0) SPRUE_CUDA(cuMemsetD8, address(data_), value, bytes_);
}

void copy_async(void* target, const void* source, std::size_t bytes, Stream stream) {
  SPRUE_CUDA(cuMemcpyDtoDAsync, address(target), address(source), bytes, stream);
}

void* allocate_async(std::size_t bytes, Stream stream) {
  CUdeviceptr allocated = 0;
  const CUresult result = api().cuMemAllocFromPoolAsync(&allocated, bytes, pool_of(current_device()), stream);
  if (result == CUDA_ERROR_OUT_OF_MEMORY) return nullptr;
  check(result, "cuMemAllocFromPoolAsync");
  return pointer(allocated);
}

void free_async(void* data, Stream stream) {
  SPRUE_CUDA(cuMemFreeAsync, address(data), stream);
}

}  // namespace sprue::driver
