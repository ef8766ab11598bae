// Norms in loops that one can check by eye: the same ones for the truth and for the naive version.
#include "reference/norm.h"

#include <algorithm>
#include <cmath>

#include "reference/dropout.h"
#include "reference/parallel.h"
#include "reference/scalar.h"

namespace sprue::reference {
namespace {

template <class Real>
struct Statistics {
  Real mean = 0, factor = 0;
};

template <class Real>
Statistics<Real> statistics_of(const NormInputs& in, const Real* z) {
  const auto hidden = static_cast<Real>(in.hidden);
  Statistics<Real> s;
  for (std::int64_t c = 0; in.centred && c < in.hidden; ++c) s.mean += z[c] / hidden;
  Real squares = 0;
  for (std::int64_t c = 0; c < in.hidden; ++c) squares += (z[c] - s.mean) * (z[c] - s.mean);
  s.factor = 1 / std::sqrt(squares / hidden + static_cast<Real>(in.eps));
  return s;
}

/// What an empty span stands for, or its value.
template <class Real>
Real value_or(std::span<const float> values, std::size_t i, Real otherwise) {
  return values.empty() ? otherwise : static_cast<Real>(values[i]);
}

template <class Real>
Real weight_of(const NormInputs& in, std::span<const float> weight, std::size_t c) {
  if (weight.empty()) return 1;
  return static_cast<Real>(weight[c]) + (in.zero_centred_weight ? 1 : 0);
}

template <class Real>
Real sigmoid(Real x) {
  return 1 / (1 + std::exp(-x));
}
template <class Real>
Real silu_slope(Real x) {
  return sigmoid(x) * (1 + x * (1 - sigmoid(x)));
}

/// What dropout leaves of a value of x at index i, scaled, or of x1.
template <class Real, class Round>
Real summand(const NormInputs& in, Real x, std::size_t i, bool is_x1, const Round& round) {
  const auto hidden = static_cast<std::size_t>(in.hidden);
  if (!is_x1 && in.x_scale != 1) x = round(x * in.x_scale);
  if (!is_x1 && !in.row_scale.empty()) x = round(x * in.row_scale[i / hidden]);
  if (!is_x1 && !in.column_scale.empty()) x = round(x * in.column_scale[i % hidden]);
  if (value_or<Real>(is_x1 ? in.mask1 : in.mask, i, 1) == 0) return 0;
  return in.dropout == 0 ? x : round(x / (1 - static_cast<Real>(in.dropout)));
}

template <class Real, class Round, class RoundZ>
NormResult<Real> forward(const NormInputs& in, const Round& round, const RoundZ& round_z) {
  NormResult<Real> result{std::vector<Real>(in.x.size()), std::vector<Real>(in.x.size()),
                          std::vector<Real>(in.weight1.empty() ? 0 : in.x.size())};
  parallel(in.rows, [&](std::int64_t r) {
    const auto first = static_cast<std::size_t>(r * in.hidden), hidden = static_cast<std::size_t>(in.hidden);
    std::vector<Real> t(hidden);
    for (std::size_t c = 0; c < hidden; ++c) {
      Real& z = result.z[first + c];
      z = summand<Real>(in, in.x[first + c], first + c, false, round);
      if (!in.x1.empty()) z = round_z(z + summand<Real>(in, in.x1[first + c], first + c, true, round));
      if (!in.residual.empty()) z = round_z(z + in.residual[first + c]);
      t[c] = z;
      if (in.gate_first) t[c] = round(z * round(in.gate[first + c] * sigmoid<Real>(in.gate[first + c])));
    }
    const Statistics<Real> s = statistics_of(in, t.data());
    const auto write = [&](std::vector<Real>& y, std::span<const float> weight, std::span<const float> bias) {
      for (std::size_t c = 0; c < hidden; ++c) {
        Real value = round(round((t[c] - s.mean) * s.factor) * weight_of<Real>(in, weight, c));
        if (!bias.empty()) value = round(value + bias[c]);
        if (!in.gate.empty() && !in.gate_first)
          value = round(value * round(in.gate[first + c] * sigmoid<Real>(in.gate[first + c])));
        y[first + c] = value;
      }
    };
    write(result.y, in.weight, in.bias);
    if (!in.weight1.empty()) write(result.y1, in.weight1, in.bias1);
  });
  return result;
}

template <class Real, class Round>
NormGradients<Real> backward(const NormInputs& in, const NormUpstream& upstream, const Round& round) {
  const auto hidden = static_cast<std::size_t>(in.hidden), elements = upstream.dy.size();
  const bool two = !in.weight1.empty(), gated = !in.gate.empty();
  NormInputs unscaled = in;
  unscaled.column_scale = {};
  const std::vector<Real> rows(elements), columns(hidden);
  NormGradients<Real> result{rows, columns, columns, rows, rows, rows, columns, columns, columns};
  std::vector<Real> n(hidden), g(hidden), t(hidden), silu(hidden, 1);
  for (std::size_t first = 0; first < elements; first += hidden) {
    for (std::size_t c = 0; c < hidden; ++c) {
      if (gated) silu[c] = round(in.gate[first + c] * sigmoid<Real>(in.gate[first + c]));
      t[c] = static_cast<Real>(in.x[first + c]);
      if (in.gate_first) t[c] = round(t[c] * silu[c]);
    }
    const Statistics<Real> s = statistics_of(in, t.data());
    Real along = 0, shift = 0;
    for (std::size_t c = 0; c < hidden; ++c) {
      n[c] = round((t[c] - s.mean) * s.factor);
      g[c] = 0;
      const auto output = [&](std::span<const float> dy, std::span<const float> weight,
                              std::span<const float> bias, std::vector<Real>& dweight,
                              std::vector<Real>& dbias) {
        Real du = static_cast<Real>(dy[first + c]);
        const Real w = weight_of<Real>(in, weight, c);
        if (gated && !in.gate_first) {
          const Real u = round(round(n[c] * w) + value_or<Real>(bias, c, 0));
          result.dgate[first + c] += round(round(du * u) * silu_slope<Real>(in.gate[first + c]));
          du = round(du * silu[c]);
        }
        g[c] = round(g[c] + round(du * w));
        dweight[c] += du * n[c];
        dbias[c] += du;
      };
      output(upstream.dy, in.weight, in.bias, result.dweight, result.dbias);
      if (two) output(upstream.dy1, in.weight1, in.bias1, result.dweight1, result.dbias1);
      along += n[c] * g[c] / static_cast<Real>(in.hidden);
      if (in.centred) shift += g[c] / static_cast<Real>(in.hidden);
    }
    for (std::size_t c = 0; c < hidden; ++c) {
      const std::size_t i = first + c;
      Real dz = round(s.factor * (g[c] - n[c] * along - shift));
      if (in.gate_first) {
        result.dgate[i] = round(round(dz * in.x[i]) * silu_slope<Real>(in.gate[i]));
        dz = round(dz * silu[c]);
      }
      if (!upstream.dresidual_out.empty()) dz = round(dz + upstream.dresidual_out[i]);
      result.dz[i] = dz;
      result.dx[i] = summand(in, dz, i, false, round);
      result.dx1[i] = summand(in, dz, i, true, round);
      if (!in.column_scale.empty() && !upstream.x.empty())
        result.dcolumn_scale[c] += summand(unscaled, dz, i, false, round) * upstream.x[i];
    }
  }
  for (auto* sums :
       {&result.dweight, &result.dbias, &result.dweight1, &result.dbias1, &result.dcolumn_scale}) {
    for (Real& x : *sums) x = round(x);
  }
  return result;
}

constexpr auto kExact = [](double x) { return x; };

}  // namespace

NormResult<double> norm(const NormInputs& in) {
  return forward<double>(in, kExact, kExact);
}

NormResult<float> naive_norm(const NormInputs& in, DType dtype, DType residual_dtype) {
  return forward<float>(
      in, [=](float x) { return rounded(x, dtype); }, [=](float x) { return rounded(x, residual_dtype); });
}

NormGradients<double> norm_backward(const NormInputs& in, const NormUpstream& upstream) {
  return backward<double>(in, upstream, kExact);
}

NormGradients<float> naive_norm_backward(const NormInputs& in, const NormUpstream& upstream, DType dtype) {
  return backward<float>(in, upstream, [=](float x) { return rounded(x, dtype); });
}

std::vector<float> norm_dropout_mask(const Dropout& dropout, std::int64_t rows, std::int64_t hidden,
                                     int branch) {
  std::vector<float> mask(static_cast<std::size_t>(rows * hidden), 1);
  if (dropout.probability == 0) return mask;
  const auto kept = std::max(1L, std::lround((1 - dropout.probability) * 65536.0));
  const std::int64_t groups = (hidden + 7) / 8;
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t c = 0; c < hidden; ++c) {
      const std::uint64_t place = dropout.offset + static_cast<std::uint64_t>(r * groups + c / 8);
      const auto words =
          philox({static_cast<std::uint32_t>(place), static_cast<std::uint32_t>(place >> 32),
                  static_cast<std::uint32_t>(branch), 0},
                 {static_cast<std::uint32_t>(dropout.seed), static_cast<std::uint32_t>(dropout.seed >> 32)});
      const std::uint32_t number = words[static_cast<std::size_t>(c % 8 / 2)] >> 16 * (c % 2) & 0xffff;
      mask[static_cast<std::size_t>(r * hidden + c)] = number < kept ? 1 : 0;
    }
  }
  return mask;
}

}  // namespace sprue::reference
