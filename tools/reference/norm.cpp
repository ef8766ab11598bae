// Norms in loops that one can check by eye: the same ones for the truth and for the naive version.
#include "reference/norm.h"

#include <cmath>

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

template <class Real>
Real weight_of(const NormInputs& in, std::int64_t c) {
  if (in.weight.empty()) return 1;
  return static_cast<Real>(in.weight[static_cast<std::size_t>(c)]) + (in.zero_centred_weight ? 1 : 0);
}

template <class Real, class Round, class RoundZ>
NormResult<Real> forward(const NormInputs& in, const Round& round, const RoundZ& round_z) {
  NormResult<Real> result{std::vector<Real>(in.x.size()), std::vector<Real>(in.x.size())};
  parallel(in.rows, [&](std::int64_t r) {
    const std::int64_t first = r * in.hidden;
    Real* const z = result.z.data() + first;
    for (std::int64_t c = 0; c < in.hidden; ++c) {
      z[c] = static_cast<Real>(in.x[static_cast<std::size_t>(first + c)]);
      if (!in.residual.empty()) z[c] = round_z(z[c] + in.residual[static_cast<std::size_t>(first + c)]);
    }
    const Statistics<Real> s = statistics_of(in, z);
    for (std::int64_t c = 0; c < in.hidden; ++c) {
      Real y = round(round((z[c] - s.mean) * s.factor) * weight_of<Real>(in, c));
      if (!in.bias.empty()) y = round(y + in.bias[static_cast<std::size_t>(c)]);
      result.y[static_cast<std::size_t>(first + c)] = y;
    }
  });
  return result;
}

template <class Real, class Round>
NormGradients<Real> backward(const NormInputs& in, std::span<const float> dy,
                             std::span<const float> dresidual_out, const Round& round) {
  const auto hidden = static_cast<std::size_t>(in.hidden);
  NormGradients<Real> result{std::vector<Real>(dy.size()), std::vector<Real>(hidden),
                             std::vector<Real>(hidden)};
  std::vector<Real> n(hidden), g(hidden), z(hidden);
  for (std::int64_t r = 0; r < in.rows; ++r) {
    const auto first = static_cast<std::size_t>(r) * hidden;
    for (std::size_t c = 0; c < hidden; ++c) z[c] = static_cast<Real>(in.x[first + c]);
    const Statistics<Real> s = statistics_of(in, z.data());
    Real along = 0, shift = 0;
    for (std::size_t c = 0; c < hidden; ++c) {
      n[c] = round((z[c] - s.mean) * s.factor);
      g[c] = round(dy[first + c] * weight_of<Real>(in, static_cast<std::int64_t>(c)));
      along += n[c] * g[c] / static_cast<Real>(in.hidden);
      if (in.centred) shift += g[c] / static_cast<Real>(in.hidden);
      result.dweight[c] += dy[first + c] * n[c];
      result.dbias[c] += dy[first + c];
    }
    for (std::size_t c = 0; c < hidden; ++c) {
      Real dz = round(s.factor * (g[c] - n[c] * along - shift));
      if (!dresidual_out.empty()) dz = round(dz + dresidual_out[first + c]);
      result.dx[first + c] = dz;
    }
  }
  for (Real& x : result.dweight) x = round(x);
  for (Real& x : result.dbias) x = round(x);
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

NormGradients<double> norm_backward(const NormInputs& in, std::span<const float> dy,
                                    std::span<const float> dresidual_out) {
  return backward<double>(in, dy, dresidual_out, kExact);
}

NormGradients<float> naive_norm_backward(const NormInputs& in, std::span<const float> dy,
                                         std::span<const float> dresidual_out, DType dtype) {
  return backward<float>(in, dy, dresidual_out, [=](float x) { return rounded(x, dtype); });
}

}  // namespace sprue::reference
