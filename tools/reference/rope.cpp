// Rotary position embedding in loops that one can check by eye: the same ones for the truth and for the naive
// version.
#include "reference/rope.h"

#include <cmath>

#include "reference/scalar.h"

namespace sprue::reference {
namespace {

template <class Real, class Round>
void normalise(const RopeInputs& in, Real* row, const Round& round) {
  if (in.norm_weight.empty()) return;
  Real squares = 0;
  for (std::int64_t d = 0; d < in.head_dim; ++d) squares += row[d] * row[d];
  const Real factor =
      1 / std::sqrt(squares / static_cast<Real>(in.head_dim) + static_cast<Real>(in.norm_eps));
  for (std::int64_t d = 0; d < in.head_dim; ++d)
    row[d] = round(round(row[d] * factor) * static_cast<Real>(in.norm_weight[static_cast<std::size_t>(d)]));
}

template <class Real, class Round>
std::vector<Real> rotate(const RopeInputs& in, const Round& round) {
  std::vector<Real> y(in.x.begin(), in.x.end());
  const std::int64_t half = in.rotary_dim / 2;
  const std::int64_t table_positions = static_cast<std::int64_t>(in.cos.size()) / half;
  for (std::size_t t = 0; t < in.positions.size(); ++t) {
    const std::int64_t position = in.positions[t];
    for (std::int64_t h = 0; h < in.heads; ++h) {
      Real* const row = y.data() + (static_cast<std::int64_t>(t) * in.heads + h) * in.head_dim;
      normalise(in, row, round);
      if (position < 0 || position >= table_positions) continue;
      for (std::int64_t n = 0; n < half; ++n) {
        const auto at = static_cast<std::size_t>(position * half + n);
        const Real c = in.cos[at], s = in.conjugate ? -in.sin[at] : in.sin[at];
        Real &first = row[in.interleaved ? 2 * n : n], &second = row[in.interleaved ? 2 * n + 1 : n + half];
        const Real a = first, b = second;
        first = round(round(a * c) - round(b * s));
        second = round(round(a * s) + round(b * c));
      }
    }
  }
  return y;
}

}  // namespace

std::vector<double> rope(const RopeInputs& in) {
  return rotate<double>(in, [](double x) { return x; });
}

std::vector<float> naive_rope(const RopeInputs& in, DType dtype) {
  return rotate<float>(in, [dtype](float x) { return rounded(x, dtype); });
}

}  // namespace sprue::reference
