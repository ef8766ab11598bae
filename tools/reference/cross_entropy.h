// Cross entropy on the CPU: in double precision, and in f32 as a first attempt computes it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sprue/ops/cross_entropy.h"
#include "sprue/tensor.h"

namespace sprue::reference {

/// As in sprue::CrossEntropy; the reduction is none whatever the options say.
struct CrossEntropyInputs {
  std::int64_t rows = 0, classes = 0;
  std::span<const float> logits = {};         ///< [rows, classes]
  std::span<const std::int64_t> labels = {};  ///< [rows]
  LossOptions options = {};
};

template <class Real>
struct CrossEntropyResult {
  std::vector<Real> loss, z_loss, lse;  ///< [rows]
  std::vector<Real> dlogits;            ///< [rows, classes]
};
/// `dloss` [rows].
CrossEntropyResult<double> cross_entropy(const CrossEntropyInputs& inputs, std::span<const float> dloss);
/// The gradient is rounded to `dtype`.
CrossEntropyResult<float> naive_cross_entropy(const CrossEntropyInputs& inputs, std::span<const float> dloss,
                                              DType dtype);

/// Labels that are not ignored.
std::int64_t counted_labels(const CrossEntropyInputs& inputs);

}  // namespace sprue::reference
