#include "ops/large_buffer.h"

#include <algorithm>

#include "driver/device.h"
#include "reference/random.h"
#include "reference/scalar.h"
#include "sprue/error.h"

namespace sprue::test {

std::optional<driver::DeviceBuffer> buffer_of(std::int64_t elements) {
  try {
    return driver::DeviceBuffer(static_cast<std::size_t>(elements) * size_of(kType));
  } catch (const CudaError&) {
    return {};
  }
}

char* at(const driver::DeviceBuffer& buffer, std::int64_t element) {
  return static_cast<char*>(buffer.data()) + element * static_cast<std::int64_t>(size_of(kType));
}

void put(const driver::DeviceBuffer& buffer, std::int64_t element, std::span<const float> values) {
  const auto bytes = reference::narrow(values, kType);
  driver::DeviceBuffer staging(bytes.size());
  staging.copy_from_host(bytes.data(), bytes.size());
  driver::copy_async(at(buffer, element), staging.data(), bytes.size(), nullptr);
  driver::synchronize_device();
}

std::vector<float> get(const driver::DeviceBuffer& buffer, std::int64_t element, std::int64_t count) {
  std::vector<std::byte> bytes(static_cast<std::size_t>(count) * size_of(kType));
  driver::DeviceBuffer staging(bytes.size());
  driver::copy_async(staging.data(), at(buffer, element), bytes.size(), nullptr);
  driver::synchronize_device();
  staging.copy_to_host(bytes.data(), bytes.size());
  return reference::widen(bytes, kType);
}

void fill_random(const driver::DeviceBuffer& buffer, std::uint64_t seed) {
  const auto values = reference::random_normal(1 << 22, seed, kType);
  put(buffer, 0, values);
  std::size_t done = values.size() * size_of(kType);
  while (done < buffer.bytes()) {
    const std::size_t more = std::min(done, buffer.bytes() - done);
    driver::copy_async(at(buffer, 0) + done, buffer.data(), more, nullptr);
    done += more;
  }
  driver::synchronize_device();
}

}  // namespace sprue::test
