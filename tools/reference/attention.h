// Attention on the CPU: in double precision, and as a first attempt in low precision computes it.
#pragma once

#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "reference/visibility.h"
#include "sprue/ops.h"

namespace sprue::reference {

/// What is computed, as in sprue::Attention. Sequences of different lengths lie in tensors of the longest
/// one's size.
struct AttentionShape {
  std::int64_t batch = 1, seqlen_q = 1, seqlen_k = 1, heads = 1, kv_heads = 1, head_dim = 64, head_dim_v = 64;
  bool causal = false;
  float scale = NAN;  ///< NAN: 1 / sqrt(head_dim)
  std::int64_t window_left = -1, window_right = -1, chunk = 0;
  float softcap = 0;
  Dropout dropout = {};
  float empty_lse = -INFINITY;
  std::vector<std::int64_t> lengths_q = {}, lengths_k = {};  ///< [batch]; empty: seqlen_q, seqlen_k for all

  std::int64_t q_elements() const { return batch * seqlen_q * heads * head_dim; }
  std::int64_t k_elements() const { return batch * seqlen_k * kv_heads * head_dim; }
  std::int64_t v_elements() const { return batch * seqlen_k * kv_heads * head_dim_v; }
  std::int64_t out_elements() const { return batch * seqlen_q * heads * head_dim_v; }
  std::int64_t lse_elements() const { return batch * heads * seqlen_q; }

  double used_scale() const;
  std::int64_t length_q(std::int64_t b) const;
  std::int64_t length_k(std::int64_t b) const;
  /// Where query i of sequence b stands among its keys: sequences are aligned at their ends.
  std::int64_t position(std::int64_t b, std::int64_t i) const { return i + length_k(b) - length_q(b); }
  KeyRange visible_keys(std::int64_t b, std::int64_t i) const;
  /// Pairs of a query and a key that it sees, over all batches and heads.
  double visible_pairs() const;
  std::string print() const;  ///< "batch 2, seqlen 128 x 256, heads 8 / 2, head_dim 64, causal"
};

/// s[b, h, i, j] is at values[((b * heads + h) * queries + i) * keys + j], where an extent of 1 is the same
/// for all.
struct BiasInput {
  std::span<const float> values = {};
  std::int64_t batch = 1, heads = 1, queries = 1, keys = 0;
};

/// q [b, sq, h, d], k [b, sk, kv, d], v [b, sk, kv, dv]; row-major. The others where they are given.
struct AttentionInputs {
  std::span<const float> q = {}, k = {}, v = {};
  std::span<const float> alibi_slopes = {};  ///< [h] or [b, h]
  BiasInput bias = {};
  std::span<const float> sinks = {};  ///< [h]
};

/// 0 where a sequence has no such query.
struct AttentionResult {
  std::vector<double> out;   ///< [b, sq, h, dv]
  std::vector<double> lse;   ///< [b, h, sq]
  double largest_score = 0;  ///< Largest absolute value of a finite score.
};

/// Double precision throughout.
AttentionResult attention(const AttentionShape& shape, const AttentionInputs& inputs);

/// As one writes it first on tensors of `dtype`: scores, probabilities and result are rounded to it.
std::vector<float> naive_attention(const AttentionShape& shape, const AttentionInputs& inputs, DType dtype);

/// sprue::Attention.probabilities of a kernel whose tiles have `tile` keys, [b, h, sq, sk]; 0 where a key is
/// not seen.
std::vector<double> attention_probabilities(const AttentionShape& shape, const AttentionInputs& inputs,
                                            std::int64_t tile);

}  // namespace sprue::reference
