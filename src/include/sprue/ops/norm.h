// Normalisation of rows. sprue/ops.h says what holds for all operators.
#pragma once

#include <cstddef>

#include "sprue/ops/dropout.h"
#include "sprue/runtime.h"
#include "sprue/tensor.h"

namespace sprue {

/// z[..., :] = x[..., :] * row_scale[...] * column_scale + x1[..., :] + residual[..., :]
/// y[..., :] = z[..., :] / sqrt(mean(z[..., :]^2) + eps) * weight + bias
///
/// Sums are accumulated in f32, of z before it is rounded for residual_out, which is what pre-norm blocks pass on. Rows
/// may have any stride; the last dimension is contiguous. Heads of queries and keys are rows too: a view
/// [batch, seqlen, heads, head_dim] of packed projections is normalised head by head, with a weight [head_dim].
/// Zhang & Sennrich 2019, arXiv:1910.07467.
///
/// Dropout sets elements of x, and with a pattern of its own of x1, to 0, NaN too, before they are added, and divides
/// the others by 1 - p; p is rounded to a multiple of 2^-16. Element c of row r, counted in row-major order, takes number
/// offset + r * ceil(hidden / 8) + c / 8 of Philox: advance the offset by rows * ceil(hidden / 8) between calls.
///
/// A gate multiplies y by silu(gate), or with gate_first z before it is normalised: silu(x) = x / (1 + exp(-x)). Both
/// orders are those of Mamba-2, Dao & Gu 2024, arXiv:2405.21060.
///
/// y1 is a second output with the same statistics and gate, and a weight and a bias of its own, for parallel blocks.
///
/// y may be of dtype e4m3 or i8: then it is y / scale, rounded to nearest even. Either y_scale is given, and values
/// beyond the range become its ends; or each row has its own, max |y| / 448 (e4m3) or / 127 (i8), which is written to
/// y_row_scale, and is 0 where the row has nothing above 1e-30. NaN is 0 as i8.
///
/// Rows may be left out, as stochastic depth does, and x and y then have only those that are there: x_rows and y_rows
/// number them. Where x_rows has n >= 1, row n - 1 of x is added, else nothing; where y_rows has n >= 1, row n - 1 of y
/// is written. Numbers beyond the rows of x and y count as 0; no two may name the same row of y.
struct RmsNorm {
  Tensor y;                          ///< [..., hidden], dtype of x, e4m3 or i8; may be x itself, must not overlap it otherwise.
  ConstTensor x;                     ///< [..., hidden], f32 | f16 | bf16.
  ConstTensor weight = {};           ///< [hidden], f32 | f16 | bf16; omit for no scaling.
  float eps = 1e-6f;                 ///< Added to the mean square; >= 0.
  ConstTensor bias = {};             ///< [hidden], dtype of weight, which must be given then.
  ConstTensor residual = {};         ///< Shape of x, f32 or dtype of x.
  Tensor residual_out = {};          ///< Gets z, for the next layer, where z is not x itself; shape of x, dtype of residual,
                                     ///< or, if there is none, f32 or that of x; may be residual itself.
  bool zero_centred_weight = false;  ///< 1 + weight takes the place of weight.

  ConstTensor row_scale = {};        ///< The shape of x without its last dimension, f32 or dtype of x.
  ConstTensor column_scale = {};     ///< [hidden], f32 | f16 | bf16: layer scale.
  float x_scale = 1;                 ///< x is multiplied by it, too.
  Dropout dropout = {};
  Tensor dropout_mask = {};          ///< u8, shape of x: 1 where x is kept, else 0.
  ConstTensor x1 = {};               ///< Shape and dtype of x; has no scales.
  Tensor dropout_mask1 = {};         ///< Of x1; must be given as dropout_mask is.
  ConstTensor gate = {};             ///< Shape and dtype of x.
  bool gate_first = false;
  Tensor y1 = {};                    ///< Shape and dtype of y; needs a weight for each.
  ConstTensor weight1 = {};          ///< [hidden], dtype of weight.
  ConstTensor bias1 = {};            ///< Likewise; must be given as bias is.
  ConstTensor y_scale = {};          ///< [1], f32.
  ConstTensor y1_scale = {};
  Tensor y_row_scale = {};           ///< The shape of y without its last dimension, f32.
  Tensor y1_row_scale = {};
  ConstTensor x_rows = {};           ///< [...], i32. x and dropout_mask are [rows, hidden] then, and "the shape of x" that
                                     ///< of x_rows and hidden elsewhere.
  ConstTensor y_rows = {};           ///< [...], i32. y, y1 and their scales are [rows, hidden] and [rows] then.
};
SPRUE_API void rms_norm(Runtime& runtime, const RmsNorm& args, Stream stream = nullptr);
SPRUE_API KernelInfo prepare(Runtime& runtime, const RmsNorm& args);

/// y[..., :] = (z[..., :] - m) / sqrt(mean((z[..., :] - m)^2) + eps) * weight + bias,   m = mean(z[..., :])
///
/// The variance is computed from differences to the mean. All else, z too, as in RmsNorm.
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

  ConstTensor row_scale = {};
  ConstTensor column_scale = {};
  float x_scale = 1;
  Dropout dropout = {};
  Tensor dropout_mask = {};
  ConstTensor x1 = {};
  Tensor dropout_mask1 = {};
  ConstTensor gate = {};
  bool gate_first = false;
  Tensor y1 = {};
  ConstTensor weight1 = {};
  ConstTensor bias1 = {};
  ConstTensor y_scale = {};
  ConstTensor y1_scale = {};
  Tensor y_row_scale = {};
  Tensor y1_row_scale = {};
  ConstTensor x_rows = {};
  ConstTensor y_rows = {};
};
SPRUE_API void layer_norm(Runtime& runtime, const LayerNorm& args, Stream stream = nullptr);
SPRUE_API KernelInfo prepare(Runtime& runtime, const LayerNorm& args);

/// The gradients of rms_norm, given dy, the gradient with respect to y. With n = z * r, r = 1 / sqrt(mean(z^2) + eps):
///
///   dz[..., :] = r * (dy * weight - n * mean(n * dy * weight)) + dresidual_out[..., :]
///   dx = dz * row_scale[...] * column_scale, where dropout kept x,   dx1 = dz, where it kept x1,   dresidual = dz
///   dweight = sum over rows of dy * n,   dbias = sum over rows of dy
///   dcolumn_scale = sum over rows of dz * row_scale[...] * x, where dropout kept x
///
/// Behind a gate dy is dy * silu(gate) in all of these, and dgate = dy * (n * weight + bias) * silu'(gate). With
/// gate_first z is z * silu(gate) in n, dt what dz is above without dresidual_out, dz = dt * silu(gate) + dresidual_out,
/// and dgate = dt * z * silu'(gate). Of two outputs dy * weight and the terms of dgate are summed. Rows that were left
/// out have dy = 0, or no dx. A quantised y has the gradient of one that is not.
///
/// r is computed anew from z. All results have the same bits in every repetition: sums over rows are in an order that
/// depends on the shape and the device alone. hidden is at most 131072. dweight and dbias take scratch memory from the
/// allocator of the runtime's options, a row of f32 for every block of the launch.
struct RmsNormBackward {
  Tensor dx;                        ///< [..., hidden], dtype of dy; may be dy itself.
  ConstTensor dy;                   ///< [..., hidden], f32 | f16 | bf16.
  ConstTensor z;                    ///< residual_out of the forward call, or x where z is x. Shape of dy, f32 or its dtype.
  ConstTensor weight = {};          ///< [hidden], as in the forward call.
  Tensor dweight = {};              ///< [hidden], dtype of weight; contiguous; omit if not needed, as all that follow.
  Tensor dbias = {};                ///< [hidden], dtype of weight; contiguous.
  ConstTensor dresidual_out = {};   ///< The gradient with respect to residual_out; shape of dy, f32 or its dtype.
  Tensor dresidual = {};            ///< dx again, in its own dtype: f32 or that of dy, the same as dresidual_out's, which
                                    ///< it may be.
  float eps = 1e-6f;                ///< As in the forward call.
  bool zero_centred_weight = false;

  ConstTensor x = {};               ///< As in the forward call, as all that are named so; for dcolumn_scale alone.
  ConstTensor row_scale = {};
  ConstTensor column_scale = {};
  Tensor dcolumn_scale = {};        ///< [hidden], dtype of column_scale; contiguous.
  float x_scale = 1;
  Dropout dropout = {};             ///< As in the forward call: the pattern is drawn again, unless there are masks.
  ConstTensor dropout_mask = {};    ///< As the forward call wrote it, or any: not 0 where x was kept.
  Tensor dx1 = {};                  ///< Shape of z, dtype of dy.
  ConstTensor dropout_mask1 = {};   ///< Must be given if dropout_mask and dx1 are.
  ConstTensor gate = {};
  bool gate_first = false;
  Tensor dgate = {};                ///< Shape and dtype of gate, which it may be; must be given with it.
  ConstTensor bias = {};            ///< Must be given if there were a bias and a gate, and not gate_first.
  ConstTensor dy1 = {};             ///< Shape and dtype of dy; needs a weight for each.
  ConstTensor weight1 = {};
  ConstTensor bias1 = {};           ///< Must be given as bias is.
  Tensor dweight1 = {};             ///< [hidden]; must be given as dweight is.
  Tensor dbias1 = {};               ///< [hidden]; must be given as dbias is.
  ConstTensor x_rows = {};          ///< dx, x and dropout_mask are [rows, hidden] then; no two may name the same row.
  ConstTensor y_rows = {};          ///< dy and dy1 are [rows, hidden] then, and "the shape of dy" is that of z elsewhere.
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

  ConstTensor x = {};
  ConstTensor row_scale = {};
  ConstTensor column_scale = {};
  Tensor dcolumn_scale = {};
  float x_scale = 1;
  Dropout dropout = {};
  ConstTensor dropout_mask = {};
  Tensor dx1 = {};
  ConstTensor dropout_mask1 = {};
  ConstTensor gate = {};
  bool gate_first = false;
  Tensor dgate = {};
  ConstTensor bias = {};
  ConstTensor dy1 = {};
  ConstTensor weight1 = {};
  ConstTensor bias1 = {};
  Tensor dweight1 = {};
  Tensor dbias1 = {};
  ConstTensor x_rows = {};
  ConstTensor y_rows = {};
};
SPRUE_API void layer_norm_backward(Runtime& runtime, const LayerNormBackward& args, Stream stream = nullptr);
SPRUE_API KernelInfo prepare(Runtime& runtime, const LayerNormBackward& args);

}  // namespace sprue
