// Attention. sprue/ops.h says what holds for all operators.
#pragma once

#include <cmath>
#include <cstdint>

#include "sprue/ops/dropout.h"
#include "sprue/runtime.h"
#include "sprue/tensor.h"

namespace sprue {

/// out[b, i, h, :] = sum_j drop(softmax_j(s[b, h, i, j])) v[b, j, g, :],   g = h / (heads / kv_heads)
/// lse[b, h, i]    = ln(exp(sinks[h]) + sum_j exp(s[b, h, i, j]))
/// s[b, h, i, j]   = cap(scale * dot(q[b, i, h, :], k[b, j, g, :])) + bias[b, h, i, j] - slope[b, h] |p - j|
/// cap(x)          = softcap * tanh(x / softcap),   p = i + seqlen_k - seqlen_q
///
/// A sum over j takes the keys that query i sees: all of them, or those that every limit given admits. p is
/// the query's position among the keys: sequences are aligned at their ends.
///   causal         j <= p
///   window_left    j >= p - window_left
///   window_right   j <= p + window_right
///   chunk          j / chunk == p / chunk, rounded towards -infinity
/// A query that sees no key has out 0 and lse ln(exp(sinks[h])), or `empty_lse` without sinks. Every feature
/// combines with every other.
///
/// Sequences of different lengths: cu_seqlens_q (or _k) gives where each starts in a packed tensor and where
/// the last one ends; seqused_q (or _k) gives how much of each counts, the rest is neither read nor written.
/// Lengths stay on the device. k and v may be paged: block_table[b, n] is the page of keys n * page_size and
/// following.
///
/// Scores and sums are f32; the probabilities are rounded to q's dtype. Softcap uses the hardware's tanh,
/// relative error 2^-11. head_dim is a multiple of 8 from 8 to 256, head_dim_v to 512. Strides are free
/// except the last one, 1, so [b, h, s, d] and packed QKV are views; those of lse, sinks and slopes are all
/// free. A sequence has at most 2^30 positions. Outputs must not overlap inputs or each other.
///
/// Lengths choose the kernel in three places. Heads that share keys share tiles, 8 or as many as fill a tile
/// of 128 rows; where sequences are equally long and all queries see all keys, only up to 64 queries or if
/// that spares a sixteenth of the rows; never with dropout. A window that reaches everything is dropped. On
/// Hopper plain and causal attention has tiles of its own for few queries (in the mean): up to 1024 for
/// head_dim up to 96 (64 where heads share tiles), for 104 to 128 up to 2048, causal 4096. Not so with
/// `batch_invariant`.
///
/// Dao 2023, arXiv:2307.08691; Shah et al. 2024, arXiv:2407.08608; Press et al. 2021, arXiv:2108.12409
/// (ALiBi).
struct Attention {
  Tensor out;     ///< [batch, seqlen_q, heads, head_dim_v], dtype of q; packed: [total_q, heads, head_dim_v].
  ConstTensor q;  ///< [batch, seqlen_q, heads, head_dim], f16 | bf16; packed: [total_q, heads, head_dim].
  ConstTensor k;  ///< [batch, seqlen_k, kv_heads, head_dim], dtype of q; kv_heads divides heads.
                  ///< Packed: [total_k, kv_heads, head_dim]; paged: [pages, page_size, kv_heads, head_dim].
  ConstTensor v;  ///< As k, with head_dim_v.
  Tensor lse = {};  ///< [batch, heads, seqlen_q], f32; q packed: [heads, total_q]; omit if not needed.
  bool causal = false;
  float scale = NAN;               ///< NAN: 1 / sqrt(head_dim).
  std::int64_t window_left = -1;   ///< -1: no limit.
  std::int64_t window_right = -1;  ///< -1: no limit.
  std::int64_t chunk = 0;          ///< 0: no limit.
  float softcap = 0;               ///< 0: none.
  ConstTensor alibi_slopes = {};   ///< [heads] or [batch, heads], f32.
  /// [batch | 1, heads | 1, seqlen_q | 1, seqlen_k], f32 or dtype of q; an extent of 1 is the same for all.
  /// Where q is packed, or k is packed or paged: the longest sequence's length or more.
  ConstTensor bias = {};
  ConstTensor sinks = {};  ///< [heads], f32: a logit per head that takes probability and has no value.
  /// Of probabilities, in FlashAttention-2's pattern, so a backward pass can draw it again:
  /// (floor(255 (1 - p)) + 1) / 256 of them are kept. Advance the offset by batch * heads * 32 between calls
  /// that share a seed.
  Dropout dropout = {};
  /// [batch, heads, seqlen_q, seqlen_k], dtype of q, for tests of dropout: exp(s - m), negative where
  /// dropped, m being the maximum over the key's tile and those after it (the kernel walks from the last tile
  /// to the first). Keys that are not seen are 0 or not written. Longest sequences as in bias.
  Tensor probabilities = {};
  ConstTensor cu_seqlens_q = {};  ///< [batch + 1], i32, ascending from 0: q, out and lse are packed.
  ConstTensor cu_seqlens_k = {};  ///< [batch + 1], i32, ascending from 0: k and v are packed.
  ConstTensor seqused_q = {};     ///< [batch], i32.
  ConstTensor seqused_k = {};     ///< [batch], i32.
  ConstTensor block_table = {};   ///< [batch, max_pages], i32: k and v are paged; not with cu_seqlens_k.
  float empty_lse = -INFINITY;    ///< FlashAttention-3's; FlashAttention-2's is INFINITY.
  /// The kernel and its schedule do not depend on how many sequences there are nor on how long they are: a
  /// sequence's result has the same bits whatever else is in the batch.
  bool batch_invariant = false;
  bool portable =
      false;  ///< The kernel that runs everywhere, also where there is a faster one; to compare them.
};
SPRUE_API void attention(Runtime& runtime, const Attention& args, Stream stream = nullptr);
SPRUE_API KernelInfo prepare(Runtime& runtime, const Attention& args);

}  // namespace sprue
