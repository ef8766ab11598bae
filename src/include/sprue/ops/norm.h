// Normalisation of rows. sprue/ops.h says what holds for all operators.
#pragma once

#include <cstddef>

#include "sprue/runtime.h"
#include "sprue/tensor.h"

namespace sprue {

/// z[..., :] = x[..., :] + residual[..., :]
/// y[..., :] = z[..., :] / sqrt(mean(z[..., :]^2) + eps) * weight + bias
///
/// Sums are accumulated in f32, of z before it is rounded for residual_out. Rows may have any stride; the last
/// dimension is contiguous.
/// Zhang & Sennrich 2019, arXiv:1910.07467.
struct RmsNorm {
  Tensor y;                          ///< [..., hidden], dtype of x; may be x itself, must not overlap it otherwise.
  ConstTensor x;                     ///< [..., hidden], f32 | f16 | bf16.
  ConstTensor weight = {};           ///< [hidden], f32 | f16 | bf16; omit for no scaling.
  float eps = 1e-6f;                 ///< Added to the mean square; >= 0.
  ConstTensor bias = {};             ///< [hidden], dtype of weight, which must be given then.
  ConstTensor residual = {};         ///< Shape of x, f32 or dtype of x.
  Tensor residual_out = {};          ///< Gets z, for the next layer; shape and dtype of residual; may be residual itself.
  bool zero_centred_weight = false;  ///< 1 + weight takes the place of weight.
};
SPRUE_API void rms_norm(Runtime& runtime, const RmsNorm& args, Stream stream = nullptr);
SPRUE_API KernelInfo prepare(Runtime& runtime, const RmsNorm& args);

/// z[..., :] = x[..., :] + residual[..., :],   m = mean(z[..., :])
/// y[..., :] = (z[..., :] - m) / sqrt(mean((z[..., :] - m)^2) + eps) * weight + bias
///
/// The variance is computed from differences to the mean. All else as in RmsNorm.
/// Ba et al. 2016, arXiv:1607.06450.
struct LayerNorm {
  Tensor y;
  ConstTensor x;
  ConstTensor weight = {};
  ConstTensor bias = {};
  float eps = 1e-5f;
  ConstTensor residual = {};
  Tensor residual_out = {};
  bool zero_centred_weight = false;
};
SPRUE_API void layer_norm(Runtime& runtime, const LayerNorm& args, Stream stream = nullptr);
SPRUE_API KernelInfo prepare(Runtime& runtime, const LayerNorm& args);

/// The gradients of rms_norm, given dy, the gradient with respect to y. With n = z * r, r = 1 / sqrt(mean(z^2) + eps):
///
///   dz[..., :] = r * (dy * weight - n * mean(n * dy * weight)) + dresidual_out[..., :]
///   dx = dresidual = dz,   dweight = sum over rows of dy * n,   dbias = sum over rows of dy
///
/// r is computed anew from z. All results have the same bits in every repetition: sums over rows are in an order that
/// depends on the shape and the device alone. hidden is at most 131072. dweight and dbias take scratch memory from the
/// allocator of the runtime's options, a row of f32 for every block of the launch.
struct RmsNormBackward {
  Tensor dx;                        ///< [..., hidden], dtype of dy; may be dy itself.
  ConstTensor dy;                   ///< [..., hidden], f32 | f16 | bf16.
  ConstTensor z;                    ///< What was normalised: residual_out if there was a residual, else x. Shape of dy.
  ConstTensor weight = {};          ///< [hidden], as in the forward call.
  Tensor dweight = {};              ///< [hidden], dtype of weight; contiguous; omit if not needed, as all that follow.
  Tensor dbias = {};                ///< [hidden], dtype of weight; contiguous.
  ConstTensor dresidual_out = {};   ///< The gradient with respect to residual_out; shape of dy, f32 or its dtype.
  Tensor dresidual = {};            ///< dx again, in its own dtype: f32 or that of dy, the same as dresidual_out's, which
                                    ///< it may be.
  float eps = 1e-6f;                ///< As in the forward call.
  bool zero_centred_weight = false;
};
SPRUE_API void rms_norm_backward(Runtime& runtime, const RmsNormBackward& args, Stream stream = nullptr);
SPRUE_API KernelInfo prepare(Runtime& runtime, const RmsNormBackward& args);

/// The gradients of layer_norm: as those of rms_norm, with n = (z - m) * r and
///   dz[..., :] = r * (dy * weight - n * mean(n * dy * weight) - mean(dy * weight)) + dresidual_out[..., :]
struct LayerNormBackward {
  Tensor dx;
  ConstTensor dy;
  ConstTensor z;
  ConstTensor weight = {};
  Tensor dweight = {};
  Tensor dbias = {};
  ConstTensor dresidual_out = {};
  Tensor dresidual = {};
  float eps = 1e-5f;
  bool zero_centred_weight = false;
};
SPRUE_API void layer_norm_backward(Runtime& runtime, const LayerNormBackward& args, Stream stream = nullptr);
SPRUE_API KernelInfo prepare(Runtime& runtime, const LayerNormBackward& args);

}  // namespace sprue
