// Normalisation of rows. sprue/ops.h says what holds for all operators.
#pragma once

#include "sprue/runtime.h"
#include "sprue/tensor.h"

namespace sprue {

/// y[..., :] = x[..., :] / sqrt(mean(x[..., :]^2) + eps) * weight
///
/// Sums are accumulated in f32. Rows may have any stride; the last dimension is contiguous.
/// Zhang & Sennrich 2019, arXiv:1910.07467.
struct RmsNorm {
  Tensor y;                 ///< [..., hidden], dtype of x; may be x itself, must not overlap it otherwise.
  ConstTensor x;            ///< [..., hidden], f32 | f16 | bf16.
  ConstTensor weight = {};  ///< [hidden], dtype of x; omit for no scaling.
  float eps = 1e-6f;        ///< Added to the mean square; >= 0.
};
SPRUE_API void rms_norm(Runtime& runtime, const RmsNorm& args, Stream stream = nullptr);
SPRUE_API KernelInfo prepare(Runtime& runtime, const RmsNorm& args);

}  // namespace sprue
