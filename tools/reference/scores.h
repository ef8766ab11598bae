// The scores of one query, in double precision or rounded after every step. For attention.cpp and
// probabilities.cpp.
#pragma once

#include <cmath>
#include <cstdlib>

#include "reference/attention.h"
#include "reference/parallel.h"

namespace sprue::reference {

struct Query {
  std::int64_t b, h, i;
};

/// Every query of every sequence and head, on all cores.
template <class Body>
void for_each_query(const AttentionShape& p, const Body& body) {
  parallel(p.batch * p.heads * p.seqlen_q, [&](std::int64_t index) {
    const Query query{index / p.seqlen_q / p.heads, index / p.seqlen_q % p.heads, index % p.seqlen_q};
    if (query.i < p.length_q(query.b)) body(query);
  });
}

/// Where row [b, s, h, :] starts in a row-major [batch, seqlen, heads, dim].
inline std::int64_t row(std::int64_t b, std::int64_t s, std::int64_t h, std::int64_t seqlen,
                        std::int64_t heads, std::int64_t dim) {
  return ((b * seqlen + s) * heads + h) * dim;
}

/// Eight sums, so that the compiler may use vectors.
template <class Real>
Real dot(const float* a, const float* b, std::int64_t n) {
  Real sums[8] = {};
  std::int64_t d = 0;
  for (; d + 8 <= n; d += 8) {
    for (int u = 0; u < 8; ++u) sums[u] += static_cast<Real>(a[d + u]) * static_cast<Real>(b[d + u]);
  }
  for (; d < n; ++d) sums[0] += static_cast<Real>(a[d]) * static_cast<Real>(b[d]);
  return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

inline float bias_of(const BiasInput& bias, const Query& at, std::int64_t j) {
  const auto index = [](std::int64_t i, std::int64_t extent) { return extent == 1 ? 0 : i; };
  const std::int64_t first = row(index(at.b, bias.batch), index(at.h, bias.heads), index(at.i, bias.queries),
                                 bias.heads, bias.queries, bias.keys);
  return bias.values[static_cast<std::size_t>(first + j)];
}

/// s[b, h, i, keys.first], ...; `round` is applied to every tensor on the way.
template <class Real, class Round>
std::vector<Real> scores_of(const AttentionShape& p, const AttentionInputs& in, const Query& at,
                            KeyRange keys, const Round& round) {
  const auto scale = static_cast<Real>(p.used_scale()), softcap = static_cast<Real>(p.softcap);
  const std::int64_t g = at.h / (p.heads / p.kv_heads), position = p.position(at.b, at.i);
  const bool same_slopes = static_cast<std::int64_t>(in.alibi_slopes.size()) == p.heads;
  const float* q = in.q.data() + row(at.b, at.i, at.h, p.seqlen_q, p.heads, p.head_dim);
  std::vector<Real> scores;
  scores.reserve(static_cast<std::size_t>(keys.size()));
  for (std::int64_t j = keys.first; j < keys.end; ++j) {
    const float* k = in.k.data() + row(at.b, j, g, p.seqlen_k, p.kv_heads, p.head_dim);
    Real s = round(dot<Real>(q, k, p.head_dim) * scale);
    if (softcap != 0) s = round(softcap * std::tanh(s / softcap));
    if (!in.bias.values.empty()) s = round(s + round(static_cast<Real>(bias_of(in.bias, at, j))));
    if (!in.alibi_slopes.empty()) {
      const Real slope =
          in.alibi_slopes[static_cast<std::size_t>(same_slopes ? at.h : at.b * p.heads + at.h)];
      s = round(s - slope * static_cast<Real>(std::abs(position - j)));
    }
    scores.push_back(s);
  }
  return scores;
}

}  // namespace sprue::reference
