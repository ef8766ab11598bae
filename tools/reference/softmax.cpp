// Softmax in loops that one can check by eye: the same ones for the truth and for the naive version.
#include "reference/softmax.h"

#include <cmath>
#include <limits>

#include "reference/parallel.h"
#include "reference/scalar.h"

namespace sprue::reference {
namespace {

bool is_visible(const SoftmaxInputs& in, std::int64_t row, std::int64_t column) {
  const std::int64_t query = row % in.queries;
  if (in.causal && column > query + in.columns - in.queries) return false;
  if (in.mask.empty()) return true;
  return in.mask[static_cast<std::size_t>(row * in.columns + column) % in.mask.size()] == 0;
}

template <class Real, class Round>
std::vector<Real> forward(const SoftmaxInputs& in, const Round& round) {
  std::vector<Real> y(in.x.size());
  parallel(in.batch * in.queries, [&](std::int64_t row) {
    const std::int64_t first = row * in.columns;
    const auto score = [&](std::int64_t c) {
      return round(static_cast<Real>(in.scale) *
                   static_cast<Real>(in.x[static_cast<std::size_t>(first + c)]));
    };
    Real max = -std::numeric_limits<Real>::infinity(), sum = 0;
    bool is_nan = false;
    for (std::int64_t c = 0; c < in.columns; ++c) {
      if (!is_visible(in, row, c)) continue;
      is_nan |= std::isnan(score(c)) || score(c) == std::numeric_limits<Real>::infinity();
      max = std::max(max, score(c));
    }
    const bool is_empty = max == -std::numeric_limits<Real>::infinity() && !is_nan;
    const auto power = [&](std::int64_t c) {
      return is_empty || !is_visible(in, row, c) ? Real{0} : round(std::exp(score(c) - max));
    };
    for (std::int64_t c = 0; c < in.columns; ++c) sum += power(c);
    for (std::int64_t c = 0; c < in.columns; ++c) {
      const Real value = is_nan     ? std::numeric_limits<Real>::quiet_NaN()
                         : is_empty ? Real{0}
                                    : power(c) / sum;
      y[static_cast<std::size_t>(first + c)] = round(value);
    }
  });
  return y;
}

template <class Real, class Round>
std::vector<Real> backward(std::span<const float> y, std::span<const float> dy, std::int64_t columns,
                           float scale, const Round& round) {
  std::vector<Real> dx(y.size());
  parallel(static_cast<std::int64_t>(y.size()) / columns, [&](std::int64_t row) {
    const auto first = static_cast<std::size_t>(row * columns),
               end = first + static_cast<std::size_t>(columns);
    Real sum = 0;
    for (std::size_t i = first; i < end; ++i)
      sum += round(static_cast<Real>(y[i]) * static_cast<Real>(dy[i]));
    for (std::size_t i = first; i < end; ++i) {
      const Real product = round(static_cast<Real>(y[i]) * round(static_cast<Real>(dy[i]) - sum));
      dx[i] = round(static_cast<Real>(scale) * product);
    }
  });
  return dx;
}

constexpr auto kExact = [](double x) { return x; };

}  // namespace

std::vector<double> softmax(const SoftmaxInputs& inputs) {
  return forward<double>(inputs, kExact);
}

std::vector<float> naive_softmax(const SoftmaxInputs& inputs, DType dtype) {
  return forward<float>(inputs, [=](float x) { return rounded(x, dtype); });
}

std::vector<double> softmax_backward(std::span<const float> y, std::span<const float> dy,
                                     std::int64_t columns, float scale) {
  return backward<double>(y, dy, columns, scale, kExact);
}

std::vector<float> naive_softmax_backward(std::span<const float> y, std::span<const float> dy,
                                          std::int64_t columns, float scale, DType dtype) {
  return backward<float>(y, dy, columns, scale, [=](float x) { return rounded(x, dtype); });
}

}  // namespace sprue::reference
