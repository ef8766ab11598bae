// DeviceTensor: the whole buffer travels, and elements are picked out of it on the host.
#include "support/device_tensor.h"

#include <cstring>

#include "driver/device.h"
#include "reference/scalar.h"

namespace sprue::test {
namespace {

constexpr std::size_t kGuardBytes = 512;
constexpr std::byte kPoison{0xff};

/// From the first to the last element.
std::size_t span_bytes(DType dtype, const Extents& extents) {
  std::int64_t last = 0;
  for (int d = 0; d < extents.rank; ++d) {
    if (extents.shape[d] == 0) return 0;
    last += (extents.shape[d] - 1) * extents.stride[d];
  }
  return static_cast<std::size_t>(last + 1) * size_of(dtype);
}

}  // namespace

Extents extents_of(const std::vector<std::int64_t>& shape, const Layout& layout) {
  std::vector<std::int64_t> stride(shape.size());
  std::int64_t step = layout.step;
  for (std::size_t i = shape.size(); i-- > 0;) {
    const auto d = layout.order.empty() ? i : static_cast<std::size_t>(layout.order[i]);
    stride[d] = step;
    step *= shape[d];
    if (i + 1 == shape.size()) step += layout.padding;
  }
  return {std::span<const std::int64_t>(shape), std::span<const std::int64_t>(stride)};
}

DeviceTensor::DeviceTensor(DType dtype, const std::vector<std::int64_t>& shape, const Layout& layout)
    : dtype_(dtype),
      extents_(extents_of(shape, layout)),
      start_(kGuardBytes + static_cast<std::size_t>(layout.offset) * size_of(dtype)),
      buffer_(start_ + span_bytes(dtype, extents_) + kGuardBytes) {
  poison();
}

Tensor DeviceTensor::tensor() const {
  return {static_cast<std::byte*>(buffer_.data()) + start_, dtype_, extents_};
}

template <class Visit>
void DeviceTensor::for_each(const Visit& visit) const {
  const std::int64_t count = extents_.elements();
  const std::size_t bytes = size_of(dtype_);
  std::int64_t index[kMaxRank] = {};
  std::int64_t offset = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    visit(static_cast<std::size_t>(i), start_ + static_cast<std::size_t>(offset) * bytes);
    for (int d = extents_.rank - 1; d >= 0; --d) {
      offset += extents_.stride[d];
      if (++index[d] < extents_.shape[d]) break;
      offset -= extents_.stride[d] * extents_.shape[d];
      index[d] = 0;
    }
  }
}

void DeviceTensor::write(std::span<const float> values) {
  const std::vector<std::byte> bytes = reference::narrow(values, dtype_);
  std::vector<std::byte> whole(buffer_.bytes(), kPoison);
  const std::size_t size = size_of(dtype_);
  for_each([&](std::size_t i, std::size_t at) { std::memcpy(&whole[at], &bytes[i * size], size); });
  buffer_.copy_from_host(whole.data(), whole.size());
  driver::synchronize_device();  // other streams do not wait for the default one
}

std::vector<std::byte> DeviceTensor::image() const {
  driver::synchronize_device();
  std::vector<std::byte> whole(buffer_.bytes());
  buffer_.copy_to_host(whole.data(), whole.size());
  return whole;
}

std::vector<std::byte> DeviceTensor::read_bytes() const {
  const std::vector<std::byte> whole = image();
  const std::size_t size = size_of(dtype_);
  std::vector<std::byte> bytes(static_cast<std::size_t>(extents_.elements()) * size);
  for_each([&](std::size_t i, std::size_t at) { std::memcpy(&bytes[i * size], &whole[at], size); });
  return bytes;
}

std::vector<float> DeviceTensor::read() const {
  return reference::widen(read_bytes(), dtype_);
}

void DeviceTensor::poison() {
  buffer_.fill(0xff);
  driver::synchronize_device();
}

bool DeviceTensor::intact() const {
  std::vector<std::byte> whole = image();
  for_each([&](std::size_t, std::size_t at) { std::memset(&whole[at], 0xff, size_of(dtype_)); });
  for (const std::byte byte : whole) {
    if (byte != kPoison) return false;
  }
  return true;
}

}  // namespace sprue::test
