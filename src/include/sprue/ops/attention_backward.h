// The gradients of attention. sprue/ops.h says what holds for all operators.
#pragma once

#include <cstddef>

#include "sprue/ops/attention.h"

namespace sprue {

/// The gradients of a scalar loss with respect to what `forward` read, given dout, its gradient with respect
/// to out. With P the probabilities, D what dropout multiplies them by (0 or 1 / (1 - probability)), and
/// delta[b, h, i] = dot(dout[b, i, h, :], out[b, i, h, :]):
///
///   dv[b, j, g, :]      = sum_{h of g, i} D P[b, h, i, j] dout[b, i, h, :]
///   ds[b, h, i, j]      = P (D dot(dout[b, i, h, :], v[b, j, g, :]) - delta[b, h, i])
///   dbias               = ds, summed over the dimensions in which bias has extent 1
///   dslopes[b, h]       = -sum_{i, j} ds |p - j|, summed over b if alibi_slopes is [heads]
///   dsinks[h]           = -sum_{b, i} exp(sinks[h] - lse[b, h, i]) delta[b, h, i]
///   dq[b, i, h, :]      = scale sum_j ds cap'(...) k[b, j, g, :],   cap'(x) = 1 - tanh(x / softcap)^2
///   dk[b, j, g, :]      = scale sum_{h of g, i} ds cap'(...) q[b, i, h, :]
///
/// `forward` is the call whose gradients are wanted, with the out and lse that it wrote; lse must be given.
/// Every feature of Attention is there except pages, and head_dim_v goes to 256. `probabilities` is not
/// looked at. Gradients of rows that no sequence has, by seqused_q and seqused_k, are not written; queries
/// that see no key and keys that no query sees get zeros.
///
/// P and ds are rounded to q's dtype before they are multiplied; sums are f32, but a dbias of q's dtype that
/// two sequences share may be the sum of rounded ds. dk, dv, dbias, dslopes and dsinks have the same bits in
/// every repetition; so has dq if `deterministic` or forward.batch_invariant is set.
///
/// Outputs must not overlap inputs or each other; slices of one packed tensor do not.
///
/// Dao 2023, arXiv:2307.08691; Shah et al. 2024, arXiv:2407.08608.
struct AttentionBackward {
  Tensor dq;            ///< Shape and dtype of q; any strides but the last, 1; as dk and dv.
  Tensor dk;            ///< Shape and dtype of k.
  Tensor dv;            ///< Shape and dtype of v.
  ConstTensor dout;     ///< Shape and dtype of out.
  Attention forward;    ///< The call, as it was made.
  Tensor dbias = {};    ///< Shape of bias, f32 or dtype of q; omit if not needed, as the two that follow.
  Tensor dslopes = {};  ///< Shape of alibi_slopes, f32.
  Tensor dsinks = {};   ///< Shape of sinks, f32.
  bool deterministic = false;
  /// Scratch memory of attention_backward_workspace_bytes(), 256-byte aligned; nullptr: from the allocator of
  /// the runtime's options, which must allow it during a capture if there is one.
  void* workspace = nullptr;
  std::size_t workspace_bytes = 0;
};
SPRUE_API void attention_backward(Runtime& runtime, const AttentionBackward& args, Stream stream = nullptr);
SPRUE_API KernelInfo prepare(Runtime& runtime, const AttentionBackward& args);
/// What attention_backward() needs for these arguments on the current device.
SPRUE_API std::size_t attention_backward_workspace_bytes(Runtime& runtime, const AttentionBackward& args);

}  // namespace sprue
