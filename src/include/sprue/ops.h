// The operators. Arguments are given by name; tensors are views of device memory; calls are asynchronous.
//
//   sprue::rms_norm(runtime, {.y = y, .x = x, .weight = w}, stream);
//
// Every operator has a prepare() overload that renders, compiles and loads its kernel for the current device
// without launching it: do that before CUDA-graph capture, where a kernel that is not loaded is a
// CaptureError. Tensors may have null data there: shapes and strides choose the kernel, and memory that is
// still to come counts as 16-byte aligned.
//
// Errors: ArgumentError (fix the call), CompileError, CudaError, NotPrewarmedError, CaptureError, all
// described in sprue/error.h.
#pragma once

#include <cmath>

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

/// out[b, i, h, :] = sum_j softmax_j(s[b, h, i, j]) v[b, j, g, :]
/// lse[b, h, i]    = ln(sum_j exp(s[b, h, i, j]))
/// s[b, h, i, j]   = scale * dot(q[b, i, h, :], k[b, j, g, :]),   g = h / (heads / kv_heads)
///
/// With `causal`, key j is visible to query i when j <= i + seqlen_k - seqlen_q (aligned at the bottom
/// right). A query that sees no key has out 0 and lse -infinity. Scores and sums are f32; the probabilities
/// are rounded to q's dtype. head_dim and head_dim_v are multiples of 8 from 8 to 256 and may differ. Strides
/// are free except the last one, 1, so [b, h, s, d] and packed QKV are views; lse's are all free. Outputs
/// must not overlap inputs or each other. Dao 2023, arXiv:2307.08691.
struct Attention {
  Tensor out;       ///< [batch, seqlen_q, heads, head_dim_v], dtype of q.
  ConstTensor q;    ///< [batch, seqlen_q, heads, head_dim], f16 | bf16.
  ConstTensor k;    ///< [batch, seqlen_k, kv_heads, head_dim], dtype of q; kv_heads divides heads.
  ConstTensor v;    ///< [batch, seqlen_k, kv_heads, head_dim_v], dtype of q.
  Tensor lse = {};  ///< [batch, heads, seqlen_q], f32; omit if not needed.
  bool causal = false;
  float scale = NAN;  ///< NAN: 1 / sqrt(head_dim).
};
SPRUE_API void attention(Runtime& runtime, const Attention& args, Stream stream = nullptr);
SPRUE_API KernelInfo prepare(Runtime& runtime, const Attention& args);

}  // namespace sprue
