// Attention's gradients in loops that one can check by eye: the same ones for the truth and for the naive
// version.
#include "reference/attention_backward.h"

#include <algorithm>
#include <limits>
#include <mutex>

#include "reference/dropout.h"
#include "reference/scalar.h"
#include "reference/scores.h"

namespace sprue::reference {
namespace {

/// One query's probabilities of the keys that it sees, and of its sink.
template <class Real>
struct Probabilities {
  std::vector<Real> at;
  Real sink = 0;
};

template <class Real, class Round>
Probabilities<Real> probabilities_of(const AttentionShape& p, const AttentionInputs& in, const Query& at,
                                     KeyRange keys, const Round& round) {
  constexpr Real kNothing = -std::numeric_limits<Real>::infinity();
  Probabilities<Real> result{scores_of<Real>(p, in, at, keys, round)};
  const Real sink = in.sinks.empty() ? kNothing : in.sinks[static_cast<std::size_t>(at.h)];
  Real largest = sink;
  for (const Real s : result.at) largest = std::max(largest, s);
  if (largest == kNothing) {
    std::fill(result.at.begin(), result.at.end(), Real{0});
    return result;
  }
  Real sum = std::exp(sink - largest);
  result.sink = sum;
  for (Real& s : result.at) sum += s = std::exp(s - largest);
  for (Real& s : result.at) s = round(s / sum);
  result.sink /= sum;
  return result;
}

/// How much softcap lets through: 1 - tanh^2.
template <class Real>
Real cap_slope(const AttentionShape& p, const float* q, const float* k) {
  if (p.softcap == 0) return 1;
  const Real x = dot<Real>(q, k, p.head_dim) * static_cast<Real>(p.used_scale());
  const Real t = std::tanh(x / static_cast<Real>(p.softcap));
  return 1 - t * t;
}

/// What one query adds to the gradients: to its own row of dq, and to the rows of dk and dv that it sees.
template <class Real>
struct Targets {
  Real *dq, *dk, *dv;  ///< dk and dv: of key 0 of its head, `k_stride` and `v_stride` apart.
  std::int64_t k_stride, v_stride;
};

/// ds of the keys that a query sees; returns delta.
template <class Real, class Round>
Real score_gradients(const AttentionShape& p, const AttentionInputs& in, const Query& at, KeyRange keys,
                     const float* dout, const float* given_out, const Probabilities<Real>& probabilities,
                     std::vector<Real>& ds, const Round& round) {
  const std::int64_t g = at.h / (p.heads / p.kv_heads);
  const Real keep_scale = 1 / (1 - static_cast<Real>(p.dropout.probability));
  std::vector<Real> out(static_cast<std::size_t>(p.head_dim_v));
  for (std::int64_t j = keys.first; j < keys.end; ++j) {
    const float* v = in.v.data() + row(at.b, j, g, p.seqlen_k, p.kv_heads, p.head_dim_v);
    const bool keeps = kept(p.dropout, at.b * p.heads + at.h, at.i, j);
    const Real probability = probabilities.at[static_cast<std::size_t>(j - keys.first)];
    ds.push_back(keeps ? round(dot<Real>(dout, v, p.head_dim_v) * keep_scale) : Real{0});
    for (std::int64_t d = 0; keeps && d < p.head_dim_v; ++d)
      out[static_cast<std::size_t>(d)] += probability * keep_scale * static_cast<Real>(v[d]);
  }
  Real delta = 0;
  for (std::int64_t d = 0; d < p.head_dim_v; ++d) {
    const Real value = given_out ? static_cast<Real>(given_out[d]) : round(out[static_cast<std::size_t>(d)]);
    delta += static_cast<Real>(dout[d]) * value;
  }
  for (std::size_t n = 0; n < ds.size(); ++n) ds[n] = round(probabilities.at[n] * (ds[n] - delta));
  return delta;
}

template <class Real>
void add_products(const AttentionShape& p, const AttentionInputs& in, const Query& at, KeyRange keys,
                  const float* dout, const Probabilities<Real>& probabilities, const std::vector<Real>& ds,
                  const Targets<Real>& targets) {
  const std::int64_t g = at.h / (p.heads / p.kv_heads);
  const auto scale = static_cast<Real>(p.used_scale());
  const Real keep_scale = 1 / (1 - static_cast<Real>(p.dropout.probability));
  const float* q = in.q.data() + row(at.b, at.i, at.h, p.seqlen_q, p.heads, p.head_dim);
  for (std::int64_t j = keys.first; j < keys.end; ++j) {
    const auto n = static_cast<std::size_t>(j - keys.first);
    const float* k = in.k.data() + row(at.b, j, g, p.seqlen_k, p.kv_heads, p.head_dim);
    const Real change = scale * ds[n] * cap_slope<Real>(p, q, k);
    for (std::int64_t d = 0; d < p.head_dim; ++d) {
      targets.dq[d] += change * static_cast<Real>(k[d]);
      targets.dk[j * targets.k_stride + d] += change * static_cast<Real>(q[d]);
    }
    if (!kept(p.dropout, at.b * p.heads + at.h, at.i, j)) continue;
    const Real weight = probabilities.at[n] * keep_scale;
    for (std::int64_t d = 0; d < p.head_dim_v; ++d)
      targets.dv[j * targets.v_stride + d] += weight * static_cast<Real>(dout[d]);
  }
}

/// The sums over many queries that no head of keys has for itself. Guarded by a mutex.
template <class Real>
void add_to_sums(const AttentionShape& p, const AttentionInputs& in, const Query& at, KeyRange keys,
                 const std::vector<Real>& ds, Real sink, Gradients<Real>& gradients) {
  const BiasInput& bias = in.bias;
  const auto index = [](std::int64_t i, std::int64_t extent) { return extent == 1 ? 0 : i; };
  if (!gradients.dsinks.empty()) gradients.dsinks[static_cast<std::size_t>(at.h)] -= sink;
  const bool same_slopes = static_cast<std::int64_t>(in.alibi_slopes.size()) == p.heads;
  for (std::int64_t j = keys.first; j < keys.end; ++j) {
    const Real change = ds[static_cast<std::size_t>(j - keys.first)];
    if (!gradients.dbias.empty()) {
      const std::int64_t first = row(index(at.b, bias.batch), index(at.h, bias.heads),
                                     index(at.i, bias.queries), bias.heads, bias.queries, bias.keys);
      gradients.dbias[static_cast<std::size_t>(first + j)] += change;
    }
    if (!gradients.dslopes.empty()) {
      gradients.dslopes[static_cast<std::size_t>(same_slopes ? at.h : at.b * p.heads + at.h)] -=
          change * static_cast<Real>(std::abs(p.position(at.b, at.i) - j));
    }
  }
}

template <class Real, class Round>
Gradients<Real> differentiate(const AttentionShape& p, const AttentionInputs& in,
                              const OutputGradients& outputs, const Round& round) {
  const auto zeros = [](auto count) { return std::vector<Real>(static_cast<std::size_t>(count)); };
  Gradients<Real> result{zeros(p.q_elements()),        zeros(p.k_elements()),         zeros(p.v_elements()),
                         zeros(in.bias.values.size()), zeros(in.alibi_slopes.size()), zeros(in.sinks.size())};
  const std::int64_t group = p.heads / p.kv_heads;
  std::mutex mutex;
  parallel(p.batch * p.kv_heads, [&](std::int64_t index) {
    const std::int64_t b = index / p.kv_heads, g = index % p.kv_heads;
    for (std::int64_t h = g * group; h < (g + 1) * group; ++h) {
      for (std::int64_t i = 0; i < p.length_q(b); ++i) {
        const Query at{b, h, i};
        const KeyRange keys = p.visible_keys(b, i);
        const std::int64_t output = row(b, i, h, p.seqlen_q, p.heads, p.head_dim_v);
        const float* change = outputs.dout.data() + output;
        const float* out = outputs.out.empty() ? nullptr : outputs.out.data() + output;
        const auto probabilities = probabilities_of<Real>(p, in, at, keys, round);
        std::vector<Real> ds;
        const Real delta = score_gradients(p, in, at, keys, change, out, probabilities, ds, round);
        add_products(p, in, at, keys, change, probabilities, ds,
                     {result.dq.data() + row(b, i, h, p.seqlen_q, p.heads, p.head_dim),
                      result.dk.data() + row(b, 0, g, p.seqlen_k, p.kv_heads, p.head_dim),
                      result.dv.data() + row(b, 0, g, p.seqlen_k, p.kv_heads, p.head_dim_v),
                      p.kv_heads * p.head_dim, p.kv_heads * p.head_dim_v});
        const std::lock_guard lock(mutex);
        add_to_sums(p, in, at, keys, ds, probabilities.sink * delta, result);
      }
    }
  });
  for (auto* gradient : {&result.dq, &result.dk, &result.dv, &result.dbias}) {
    for (Real& x : *gradient) x = round(x);
  }
  return result;
}

}  // namespace

Gradients<double> attention_backward(const AttentionShape& p, const AttentionInputs& in,
                                     const OutputGradients& outputs) {
  return differentiate<double>(p, in, outputs, [](double x) { return x; });
}

Gradients<float> naive_attention_backward(const AttentionShape& p, const AttentionInputs& in,
                                          const OutputGradients& outputs, DType dtype) {
  return differentiate<float>(p, in, outputs, [dtype](float x) { return rounded(x, dtype); });
}

}  // namespace sprue::reference
