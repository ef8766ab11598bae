// Attention on the CPU, in loops that one can check by eye.
#include "reference/attention.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "reference/parallel.h"
#include "reference/scalar.h"

namespace sprue::reference {
namespace {

// Where row [b, s, h, :] starts in a row-major [batch, seqlen, heads, dim].
std::int64_t row(std::int64_t b, std::int64_t s, std::int64_t h, std::int64_t seqlen, std::int64_t heads,
                 std::int64_t dim) {
  return ((b * seqlen + s) * heads + h) * dim;
}

// The rows that query i of head h in batch b reads and writes.
template <class Body>
void for_each_query(const AttentionShape& p, const Body& body) {
  parallel(p.batch * p.heads * p.seqlen_q, [&](std::int64_t index) {
    const std::int64_t i = index % p.seqlen_q;
    const std::int64_t h = index / p.seqlen_q % p.heads;
    const std::int64_t b = index / p.seqlen_q / p.heads;
    body(b, h, i);
  });
}

}  // namespace

double AttentionShape::used_scale() const {
  return std::isnan(scale) ? 1 / std::sqrt(static_cast<double>(head_dim)) : scale;
}

std::int64_t AttentionShape::visible_keys(std::int64_t i) const {
  return causal ? std::clamp<std::int64_t>(i + seqlen_k - seqlen_q + 1, 0, seqlen_k) : seqlen_k;
}

double AttentionShape::visible_pairs() const {
  double pairs = 0;
  for (std::int64_t i = 0; i < seqlen_q; ++i) pairs += static_cast<double>(visible_keys(i));
  return pairs * static_cast<double>(batch * heads);
}

std::string AttentionShape::print() const {
  const std::string dims = head_dim == head_dim_v ? fmt::format("head_dim {}", head_dim)
                                                  : fmt::format("head_dim {} / {}", head_dim, head_dim_v);
  return fmt::format("batch {}, seqlen {} x {}, heads {} / {}, {}{}", batch, seqlen_q, seqlen_k, heads,
                     kv_heads, dims, causal ? ", causal" : "");
}

AttentionResult attention(const AttentionShape& p, const AttentionInputs& in) {
  AttentionResult result;
  result.out.resize(static_cast<std::size_t>(p.out_elements()));
  result.lse.resize(static_cast<std::size_t>(p.lse_elements()));
  const double scale = p.used_scale();

  for_each_query(p, [&](std::int64_t b, std::int64_t h, std::int64_t i) {
    const std::int64_t g = h / (p.heads / p.kv_heads);
    const std::int64_t keys = p.visible_keys(i);
    const float* q = in.q.data() + row(b, i, h, p.seqlen_q, p.heads, p.head_dim);
    double* out = result.out.data() + row(b, i, h, p.seqlen_q, p.heads, p.head_dim_v);

    std::vector<double> score(static_cast<std::size_t>(keys));
    double largest = -std::numeric_limits<double>::infinity();
    for (std::int64_t j = 0; j < keys; ++j) {
      const float* k = in.k.data() + row(b, j, g, p.seqlen_k, p.kv_heads, p.head_dim);
      double dot = 0;
      for (std::int64_t d = 0; d < p.head_dim; ++d) dot += static_cast<double>(q[d]) * k[d];
      score[j] = dot * scale;
      largest = std::max(largest, score[j]);
    }

    double sum = 0;
    for (std::int64_t j = 0; j < keys; ++j) {
      const float* v = in.v.data() + row(b, j, g, p.seqlen_k, p.kv_heads, p.head_dim_v);
      const double weight = std::exp(score[j] - largest);
      sum += weight;
      for (std::int64_t d = 0; d < p.head_dim_v; ++d) out[d] += weight * v[d];
    }
    for (std::int64_t d = 0; d < p.head_dim_v; ++d) out[d] = keys == 0 ? 0 : out[d] / sum;
    result.lse[(b * p.heads + h) * p.seqlen_q + i] = keys == 0 ? largest : largest + std::log(sum);
  });
  return result;
}

std::vector<float> naive_attention(const AttentionShape& p, const AttentionInputs& in, DType dtype) {
  std::vector<float> result(static_cast<std::size_t>(p.out_elements()));
  const auto scale = static_cast<float>(p.used_scale());

  for_each_query(p, [&](std::int64_t b, std::int64_t h, std::int64_t i) {
    const std::int64_t g = h / (p.heads / p.kv_heads);
    const std::int64_t keys = p.visible_keys(i);
    const float* q = in.q.data() + row(b, i, h, p.seqlen_q, p.heads, p.head_dim);
    float* out = result.data() + row(b, i, h, p.seqlen_q, p.heads, p.head_dim_v);

    std::vector<float> score(static_cast<std::size_t>(keys));
    float largest = -std::numeric_limits<float>::infinity();
    for (std::int64_t j = 0; j < keys; ++j) {
      const float* k = in.k.data() + row(b, j, g, p.seqlen_k, p.kv_heads, p.head_dim);
      float dot = 0;
      for (std::int64_t d = 0; d < p.head_dim; ++d) dot += q[d] * k[d];
      score[j] = rounded(dot * scale, dtype);
      largest = std::max(largest, score[j]);
    }

    float sum = 0;
    for (std::int64_t j = 0; j < keys; ++j) sum += score[j] = std::exp(score[j] - largest);
    for (std::int64_t j = 0; j < keys; ++j) {
      const float* v = in.v.data() + row(b, j, g, p.seqlen_k, p.kv_heads, p.head_dim_v);
      const float probability = rounded(score[j] / sum, dtype);
      for (std::int64_t d = 0; d < p.head_dim_v; ++d) out[d] += probability * v[d];
    }
    for (std::int64_t d = 0; d < p.head_dim_v; ++d) out[d] = rounded(out[d], dtype);
  });
  return result;
}

}  // namespace sprue::reference
