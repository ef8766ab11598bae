#include "training/exact_loss.h"

#include <algorithm>
#include <cmath>

#include "training/data.h"

namespace sprue::training {
namespace {

using Values = std::vector<double>;

/// y[t, o] = sum over i of x[t, i] * w[o, i]
Values product(const Values& x, const Values& w, std::int64_t tokens) {
  const std::size_t from = x.size() / static_cast<std::size_t>(tokens), to = w.size() / from;
  Values y;
  for (auto row = x.begin(); row != x.end(); row += static_cast<std::ptrdiff_t>(from)) {
    for (std::size_t o = 0; o < to; ++o) {
      double sum = 0;
      for (std::size_t i = 0; i < from; ++i) sum += row[static_cast<std::ptrdiff_t>(i)] * w[o * from + i];
      y.push_back(sum);
    }
  }
  return y;
}

Values norm(const Values& x, const Values& weight) {
  const std::size_t hidden = weight.size();
  Values y = x;
  for (std::size_t row = 0; row < x.size(); row += hidden) {
    double squares = 0;
    for (std::size_t c = 0; c < hidden; ++c) squares += x[row + c] * x[row + c];
    const double scale = 1 / std::sqrt(squares / static_cast<double>(hidden) + kNormEps);
    for (std::size_t c = 0; c < hidden; ++c) y[row + c] *= scale * weight[c];
  }
  return y;
}

/// Rotates one head of one token.
void rotate(double* x, std::int64_t position, std::int64_t head_dim) {
  const std::int64_t half = head_dim / 2;
  for (std::int64_t n = 0; n < half; ++n) {
    const double angle = static_cast<double>(position) *
                         std::pow(10000.0, -2.0 * static_cast<double>(n) / static_cast<double>(head_dim));
    const double first = x[n], second = x[n + half];
    x[n] = first * std::cos(angle) - second * std::sin(angle);
    x[n + half] = first * std::sin(angle) + second * std::cos(angle);
  }
}

/// out[i, h, :] of one sequence whose rows of q, k and v lie side by side, rotated.
void attend(const BlockShape& s, const double* qkv, double* out) {
  const std::int64_t row = s.packed_heads() * s.head_dim;
  for (std::int64_t i = 0; i < s.seqlen; ++i) {
    for (std::int64_t h = 0; h < s.heads; ++h, out += s.head_dim) {
      const double* const q = qkv + i * row + h * s.head_dim;
      const double* const k = qkv + (s.heads + h / (s.heads / s.kv_heads)) * s.head_dim;
      const double* const v = k + s.kv_heads * s.head_dim;
      double total = 0;  // scores are small: no maximum is needed
      for (std::int64_t j = 0; j <= i; ++j) {
        double score = 0;
        for (std::int64_t d = 0; d < s.head_dim; ++d) score += q[d] * k[j * row + d];
        const double p = std::exp(score / std::sqrt(static_cast<double>(s.head_dim)));
        total += p;
        for (std::int64_t d = 0; d < s.head_dim; ++d) out[d] += p * v[j * row + d];
      }
      for (std::int64_t d = 0; d < s.head_dim; ++d) out[d] /= total;
    }
  }
}

double mean_cross_entropy(const Values& logits, std::span<const float> labels) {
  const std::size_t vocab = logits.size() / labels.size();
  double sum = 0;
  for (std::size_t t = 0; t < labels.size(); ++t) {
    double total = 0;
    for (std::size_t c = 0; c < vocab; ++c) total += std::exp(logits[t * vocab + c]);
    sum += std::log(total) - logits[t * vocab + static_cast<std::size_t>(labels[t])];
  }
  return sum / static_cast<double>(labels.size());
}

}  // namespace

double exact_loss(const BlockShape& s, const std::vector<Values>& weights, std::span<const float> tokens,
                  std::span<const float> labels) {
  Values x;
  for (const float token : tokens) {
    const auto row = weights[kEmbedding].begin() + static_cast<std::int64_t>(token) * s.hidden;
    x.insert(x.end(), row, row + s.hidden);
  }
  Values qkv = product(norm(x, weights[kNorm]), weights[kQkv], s.tokens());
  for (std::int64_t t = 0; t < s.tokens(); ++t) {
    for (std::int64_t h = 0; h < s.heads + s.kv_heads; ++h) {
      rotate(&qkv[static_cast<std::size_t>((t * s.packed_heads() + h) * s.head_dim)], t % s.seqlen,
             s.head_dim);
    }
  }
  Values out(static_cast<std::size_t>(s.tokens() * s.heads * s.head_dim));
  for (std::int64_t b = 0; b < s.batch; ++b) {
    attend(s, &qkv[static_cast<std::size_t>(b * s.seqlen * s.packed_heads() * s.head_dim)],
           &out[static_cast<std::size_t>(b * s.seqlen * s.heads * s.head_dim)]);
  }
  Values z = product(out, weights[kProjection], s.tokens());
  for (std::size_t i = 0; i < z.size(); ++i) z[i] += x[i];
  return mean_cross_entropy(product(norm(z, weights[kLastNorm]), weights[kHead], s.tokens()), labels);
}

}  // namespace sprue::training
