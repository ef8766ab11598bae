// Softmax of rows. sprue/ops.h says what holds for all operators.
#pragma once

#include "sprue/runtime.h"
#include "sprue/tensor.h"

namespace sprue {

/// y[..., c] = exp(scale * x[..., c]) / sum over c' of exp(scale * x[..., c']),
/// where c and c' are visible columns; y is 0 in the others.
///
/// A column is visible unless the mask hides it and, if `causal`, where the last two dimensions are [queries, keys] and
/// the last query sees all keys: query i sees key j <= i + keys - queries. What is hidden may be NaN. Rows in which no
/// column is visible, or all of them are -inf, are 0. Where scale * x is NaN or +inf in a visible column, the row is NaN.
/// Sums are accumulated in f32. The number of columns is an argument of the kernel: only the next power of two and the
/// alignment choose it. Rows may have any stride; the last dimension is contiguous.
struct Softmax {
  Tensor y;               ///< [..., columns], dtype of x; may be x itself, must not overlap it otherwise.
  ConstTensor x;          ///< [..., columns], f32 | f16 | bf16; 1 to 2^24 columns.
  float scale = 1.0f;     ///< -1e38 to 1e38.
  ConstTensor mask = {};  ///< u8, of the rank of x; every extent that of x or, but for the last, 1. Not 0: hidden.
  bool causal = false;
};
SPRUE_API void softmax(Runtime& runtime, const Softmax& args, Stream stream = nullptr);
SPRUE_API KernelInfo prepare(Runtime& runtime, const Softmax& args);

/// dx[..., c] = scale * y[..., c] * (dy[..., c] - sum over c' of y[..., c'] * dy[..., c'])
///
/// The gradient of softmax, given its result y, which is 0 where columns were hidden. What `causal` hides is not read and
/// may be NaN in dy; what a mask hid must be finite there.
struct SoftmaxBackward {
  Tensor dx;           ///< [..., columns], dtype of y; may be dy or y itself.
  ConstTensor dy;      ///< [..., columns], dtype of y.
  ConstTensor y;       ///< [..., columns], f32 | f16 | bf16; what softmax wrote.
  float scale = 1.0f;  ///< As in the forward call, as is causal.
  bool causal = false;
};
SPRUE_API void softmax_backward(Runtime& runtime, const SoftmaxBackward& args, Stream stream = nullptr);
SPRUE_API KernelInfo prepare(Runtime& runtime, const SoftmaxBackward& args);

}  // namespace sprue
