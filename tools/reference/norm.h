// LayerNorm and RMSNorm with residuals, forward and backward, on the CPU: in double precision, and as a first
// attempt in low precision computes them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sprue/tensor.h"

namespace sprue::reference {

/// As in sprue::LayerNorm and RmsNorm; rows are [rows, hidden], the others [hidden]; empty where not given.
struct NormInputs {
  std::int64_t rows = 0, hidden = 0;
  std::span<const float> x = {}, residual = {}, weight = {}, bias = {};
  float eps = 1e-5f;
  bool centred = true;
  bool zero_centred_weight = false;
};

template <class Real>
struct NormResult {
  std::vector<Real> y, z;
};
NormResult<double> norm(const NormInputs& inputs);
/// Rounded to `dtype` after every step; z is kept in `residual_dtype`.
NormResult<float> naive_norm(const NormInputs& inputs, DType dtype, DType residual_dtype);

/// The gradients, given dy and that of z; `inputs.x` is z.
template <class Real>
struct NormGradients {
  std::vector<Real> dx, dweight, dbias;
};
NormGradients<double> norm_backward(const NormInputs& inputs, std::span<const float> dy,
                                    std::span<const float> dresidual_out);
NormGradients<float> naive_norm_backward(const NormInputs& inputs, std::span<const float> dy,
                                         std::span<const float> dresidual_out, DType dtype);

}  // namespace sprue::reference
