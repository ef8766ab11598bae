// LayerNorm and RMSNorm, forward and backward, with all that sprue::LayerNorm has before and after the norm,
// on the CPU: in double precision, and as a first attempt in low precision computes them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sprue/ops/dropout.h"
#include "sprue/tensor.h"

namespace sprue::reference {

/// As in sprue::LayerNorm and RmsNorm; rows are [rows, hidden], values of rows [rows], the others [hidden];
/// empty where not given. Rows of x that are not there are zeros.
struct NormInputs {
  std::int64_t rows = 0, hidden = 0;
  std::span<const float> x = {}, residual = {}, weight = {}, bias = {};
  float eps = 1e-5f;
  bool centred = true;
  bool zero_centred_weight = false;
  std::span<const float> row_scale = {}, column_scale = {};
  float x_scale = 1, dropout = 0;  ///< Its probability; masks say what it keeps.
  std::span<const float> mask = {}, x1 = {}, mask1 = {};
  std::span<const float> gate = {};
  bool gate_first = false;
  std::span<const float> weight1 = {}, bias1 = {};  ///< Of a second output, if there is a weight.
};

template <class Real>
struct NormResult {
  std::vector<Real> y, z, y1;
};
NormResult<double> norm(const NormInputs& inputs);
/// Rounded to `dtype` after every step; z is kept in `residual_dtype`.
NormResult<float> naive_norm(const NormInputs& inputs, DType dtype, DType residual_dtype);

/// What gradients come from beside the inputs; rows of dy that were left out are zeros.
struct NormUpstream {
  std::span<const float> dy = {}, dresidual_out = {}, dy1 = {};
  std::span<const float> x = {};  ///< Of the forward call.
};

/// The gradients; `inputs.x` is z.
template <class Real>
struct NormGradients {
  std::vector<Real> dx, dweight, dbias, dz, dx1, dgate, dweight1, dbias1, dcolumn_scale;
};
NormGradients<double> norm_backward(const NormInputs& inputs, const NormUpstream& upstream);
NormGradients<float> naive_norm_backward(const NormInputs& inputs, const NormUpstream& upstream, DType dtype);

/// 1 where dropout keeps an element of x (branch 0) or x1 (branch 1), else 0.
std::vector<float> norm_dropout_mask(const Dropout& dropout, std::int64_t rows, std::int64_t hidden,
                                     int branch);

}  // namespace sprue::reference
