// Operand: a tensor on the host and on the GPU.
#pragma once

#include <cstdint>
#include <vector>

#include "driver/memory.h"
#include "npy.h"

namespace sprue::tools {

class Operand {
 public:
  /// An input, copied to the current GPU.
  explicit Operand(HostTensor host);
  /// An output, NaN until something is written.
  Operand(DType dtype, std::vector<std::int64_t> shape);

  Tensor tensor() const { return {buffer_.data(), host_.dtype, Extents(host_.shape)}; }
  const std::vector<std::int64_t>& shape() const { return host_.shape; }
  const HostTensor& host() const { return host_; }

  /// Copies from the GPU what the default stream has written.
  const HostTensor& read_back();
  /// Of the host's side.
  std::vector<float> values() const;

 private:
  HostTensor host_;
  driver::DeviceBuffer buffer_;
};

/// Normal values.
HostTensor random_tensor(const std::vector<std::int64_t>& shape, DType dtype, std::uint64_t seed);

}  // namespace sprue::tools
