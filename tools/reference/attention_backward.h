// The gradients of attention on the CPU: in double precision, and as a first attempt in low precision
// computes them.
#pragma once

#include "reference/attention.h"
#include "reference/compare.h"

namespace sprue::reference {

/// As in sprue::AttentionBackward; row-major, in the shapes of the inputs. 0 where a sequence has no such
/// row.
template <class Real>
struct Gradients {
  std::vector<Real> dq, dk, dv;
  std::vector<Real> dbias, dslopes, dsinks;  ///< Empty where there is no such input.
};

/// What a backward pass is given beside the inputs, [b, sq, h, dv].
struct OutputGradients {
  std::span<const float> dout;
  std::span<const float> out = {};  ///< As the forward pass rounded it; empty: exact.
};

/// Double precision throughout.
Gradients<double> attention_backward(const AttentionShape& shape, const AttentionInputs& inputs,
                                     const OutputGradients& outputs);

/// As one writes it first on tensors of `dtype`: every tensor on the way is rounded to it, sums are f32.
Gradients<float> naive_attention_backward(const AttentionShape& shape, const AttentionInputs& inputs,
                                          const OutputGradients& outputs, DType dtype);

}  // namespace sprue::reference
