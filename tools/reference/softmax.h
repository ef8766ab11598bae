// Softmax on the CPU: in double precision, and as a first attempt in low precision computes it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sprue/tensor.h"

namespace sprue::reference {

/// As in sprue::Softmax, [batch, queries, columns].
struct SoftmaxInputs {
  std::int64_t batch = 1, queries = 0, columns = 0;
  std::span<const float> x = {};
  std::span<const float> mask = {};  ///< [batch or 1, queries, columns]; empty: nothing is hidden.
  float scale = 1;
  bool causal = false;
};
std::vector<double> softmax(const SoftmaxInputs& inputs);
/// Rounded to `dtype` after every step.
std::vector<float> naive_softmax(const SoftmaxInputs& inputs, DType dtype);

/// The gradient of x, given rows of y and of its gradient.
std::vector<double> softmax_backward(std::span<const float> y, std::span<const float> dy,
                                     std::int64_t columns, float scale);
std::vector<float> naive_softmax_backward(std::span<const float> y, std::span<const float> dy,
                                          std::int64_t columns, float scale, DType dtype);

}  // namespace sprue::reference
