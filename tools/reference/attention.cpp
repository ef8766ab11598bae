// Attention on the CPU, in loops that one can check by eye: the same ones for the truth and for the naive
// version.
#include "reference/attention.h"

#include <algorithm>
#include <limits>

#include "reference/dropout.h"
#include "reference/scalar.h"
#include "reference/scores.h"

namespace sprue::reference {
namespace {

template <class Real>
struct Rows {
  std::vector<Real> out, lse, largest;  // largest [b, h, sq]: of the finite scores' absolute values
};

// The weighted sum of the values that a query sees; `weights` become its probabilities.
template <class Real, class Round>
void weigh(const AttentionShape& p, const AttentionInputs& in, const Query& at, KeyRange keys,
           const std::vector<Real>& weights, Real sum, Real* out, const Round& round) {
  const std::int64_t g = at.h / (p.heads / p.kv_heads);
  for (std::int64_t j = keys.first; j < keys.end; ++j) {
    const Real probability = round(weights[j - keys.first] / sum);
    if (probability == 0 || !kept(p.dropout, at.b * p.heads + at.h, at.i, j)) continue;
    const float* v = in.v.data() + row(at.b, j, g, p.seqlen_k, p.kv_heads, p.head_dim_v);
    for (std::int64_t d = 0; d < p.head_dim_v; ++d) out[d] += probability * static_cast<Real>(v[d]);
  }
  const Real keep_scale = 1 / (1 - static_cast<Real>(p.dropout.probability));
  for (std::int64_t d = 0; d < p.head_dim_v; ++d) out[d] = round(out[d] * keep_scale);
}

template <class Real, class Round>
Rows<Real> attend(const AttentionShape& p, const AttentionInputs& in, const Round& round) {
  const auto rows = static_cast<std::size_t>(p.lse_elements());
  Rows<Real> result{std::vector<Real>(static_cast<std::size_t>(p.out_elements())), std::vector<Real>(rows),
                    std::vector<Real>(rows)};
  constexpr Real kNothing = -std::numeric_limits<Real>::infinity();

  for_each_query(p, [&](const Query& at) {
    const KeyRange keys = p.visible_keys(at.b, at.i);
    const std::int64_t index = row(at.b, at.h, at.i, p.heads, p.seqlen_q, 1);
    std::vector<Real> weights = scores_of<Real>(p, in, at, keys, round);

    const Real sink = in.sinks.empty() ? kNothing : in.sinks[static_cast<std::size_t>(at.h)];
    Real largest = sink;
    for (const Real s : weights) {
      largest = std::max(largest, s);
      if (std::isfinite(s)) result.largest[index] = std::max(result.largest[index], std::abs(s));
    }
    if (largest == kNothing) {
      result.lse[index] = in.sinks.empty() ? p.empty_lse : kNothing;
      return;
    }
    Real sum = std::exp(sink - largest);
    for (Real& weight : weights) sum += weight = std::exp(weight - largest);
    result.lse[index] = largest + std::log(sum);
    Real* const out = result.out.data() + row(at.b, at.i, at.h, p.seqlen_q, p.heads, p.head_dim_v);
    weigh(p, in, at, keys, weights, sum, out, round);
  });
  return result;
}

}  // namespace

AttentionResult attention(const AttentionShape& p, const AttentionInputs& in) {
  Rows<double> rows = attend<double>(p, in, [](double x) { return x; });
  const auto largest = std::max_element(rows.largest.begin(), rows.largest.end());
  return {std::move(rows.out), std::move(rows.lse), largest == rows.largest.end() ? 0 : *largest};
}

std::vector<float> naive_attention(const AttentionShape& p, const AttentionInputs& in, DType dtype) {
  return attend<float>(p, in, [dtype](float x) { return rounded(x, dtype); }).out;
}

}  // namespace sprue::reference
