// Attention on the CPU: in double precision, and as a first attempt in low precision computes it.
#pragma once

#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "sprue/tensor.h"

namespace sprue::reference {

struct AttentionShape {
  std::int64_t batch = 1, seqlen_q = 1, seqlen_k = 1, heads = 1, kv_heads = 1, head_dim = 64, head_dim_v = 64;
  bool causal = false;
  float scale = NAN;  ///< NAN: 1 / sqrt(head_dim)

  std::int64_t q_elements() const { return batch * seqlen_q * heads * head_dim; }
  std::int64_t k_elements() const { return batch * seqlen_k * kv_heads * head_dim; }
  std::int64_t v_elements() const { return batch * seqlen_k * kv_heads * head_dim_v; }
  std::int64_t out_elements() const { return batch * seqlen_q * heads * head_dim_v; }
  std::int64_t lse_elements() const { return batch * heads * seqlen_q; }

  double used_scale() const;
  /// How many keys query i sees: j <= i + seqlen_k - seqlen_q when causal.
  std::int64_t visible_keys(std::int64_t i) const;
  /// Pairs of a query and a key that it sees, over all batches and heads.
  double visible_pairs() const;
  std::string print() const;  ///< "batch 2, seqlen 128 x 256, heads 8 / 2, head_dim 64, causal"
};

/// q [b, sq, h, d], k [b, sk, kv, d], v [b, sk, kv, dv]; row-major.
struct AttentionInputs {
  std::span<const float> q, k, v;
};

struct AttentionResult {
  std::vector<double> out;  ///< [b, sq, h, dv]
  std::vector<double> lse;  ///< [b, h, sq]
};

/// Double precision throughout.
AttentionResult attention(const AttentionShape& shape, const AttentionInputs& inputs);

/// As one writes it first on tensors of `dtype`: scores, probabilities and result are rounded to it.
std::vector<float> naive_attention(const AttentionShape& shape, const AttentionInputs& inputs, DType dtype);

}  // namespace sprue::reference
