// Device memory: a buffer that frees itself, and stream-ordered scratch memory, the runtime's default.
#pragma once

#include <cstddef>

#include "sprue/tensor.h"

namespace sprue::driver {

/// Memory on the device that is current when it is made, 256-byte aligned. Copies wait until they are done.
class DeviceBuffer {
 public:
  DeviceBuffer() = default;
  explicit DeviceBuffer(std::size_t bytes);
  ~DeviceBuffer();
  DeviceBuffer(DeviceBuffer&& other) noexcept;
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept;

  void* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }

  /// The first `bytes` bytes; ArgumentError beyond the end of the buffer.
  void copy_from_host(const void* source, std::size_t bytes);
  void copy_to_host(void* target, std::size_t bytes) const;
  void fill(unsigned char value);

 private:
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
  int device_ = 0;
};

/// Copies between two places on the device, ordered on `stream`.
void copy_async(void* target, const void* source, std::size_t bytes, Stream stream);

/// Memory of the current device, ordered on `stream`: usable by what is launched there afterwards. nullptr
/// when out of memory. Comes from a pool of Sprue's own, which keeps what it has grown to, so that no launch
/// waits for the system.
void* allocate_async(std::size_t bytes, Stream stream);
/// Given back when the work before it in `stream` is done.
void free_async(void* data, Stream stream);

}  // namespace sprue::driver
