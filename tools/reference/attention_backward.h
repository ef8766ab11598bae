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

/// Double precision throughout. `dout` is [b, sq, h, dv].
Gradients<double> attention_backward(const AttentionShape& shape, const AttentionInputs& inputs,
                                     std::span<const float> dout);

/// As one writes it first on tensors of `dtype`: every tensor on the way is rounded to it, sums are f32.
Gradients<float> naive_attention_backward(const AttentionShape& shape, const AttentionInputs& inputs,
                                          std::span<const float> dout, DType dtype);

}  // namespace sprue::reference
