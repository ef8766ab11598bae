// DeviceTensor: a tensor of any layout in device memory, with guard bytes around it and in its gaps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "driver/memory.h"
#include "sprue/tensor.h"

namespace sprue::test {

struct Layout {
  std::vector<int> order = {};  ///< Dimensions as they lie in memory, outermost first; empty: as named.
  std::int64_t padding = 0;     ///< Elements between the rows of the last dimension.
  std::int64_t offset = 0;      ///< Elements by which the tensor misses a 256-byte boundary.
  std::int64_t step = 1;        ///< Elements from one to the next in the last dimension.
};

/// Row-major in the order of the layout.
Extents extents_of(const std::vector<std::int64_t>& shape, const Layout& layout);

/// Everything that is no element is 0xff, which reads as NaN, and so is every element before write(). Values
/// are given and taken in row-major order of the shape, whatever the layout.
class DeviceTensor {
 public:
  DeviceTensor(DType dtype, const std::vector<std::int64_t>& shape, const Layout& layout = {});

  Tensor tensor() const;
  void write(std::span<const float> values);
  std::vector<float> read() const;
  /// The very bytes of the elements, in row-major order.
  std::vector<std::byte> read_bytes() const;
  void poison();
  /// Whether guards and gaps still are what they were.
  bool intact() const;

 private:
  std::vector<std::byte> image() const;
  /// Calls visit(element, byte offset in the image) for each element, row-major.
  template <class Visit>
  void for_each(const Visit& visit) const;

  DType dtype_;
  Extents extents_;
  std::size_t start_;  // where the first element lies in the buffer
  driver::DeviceBuffer buffer_;
};

}  // namespace sprue::test
