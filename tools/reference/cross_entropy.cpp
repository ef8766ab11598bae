// Cross entropy in loops that one can check by eye: the same ones for the truth and for the naive version.
#include "reference/cross_entropy.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "reference/parallel.h"
#include "reference/scalar.h"

namespace sprue::reference {
namespace {

/// t of one row, and dt / dlogit.
template <class Real>
struct Shaped {
  std::vector<Real> t, slope;
};

template <class Real>
Shaped<Real> shaped(const CrossEntropyInputs& in, std::int64_t row) {
  const auto scale = static_cast<Real>(in.options.logit_scale), cap = static_cast<Real>(in.options.softcap);
  Shaped<Real> result;
  for (std::int64_t c = 0; c < in.classes; ++c) {
    const Real x = scale * static_cast<Real>(in.logits[static_cast<std::size_t>(row * in.classes + c)]);
    const Real tanh = cap == 0 ? 0 : std::tanh(x / cap);
    result.t.push_back(cap == 0 ? x : cap * tanh);
    result.slope.push_back(scale * (1 - tanh * tanh));
  }
  return result;
}

template <class Real>
Real log_sum_exp(const std::vector<Real>& t) {
  const Real max = *std::max_element(t.begin(), t.end());
  if (max == -std::numeric_limits<Real>::infinity()) return max;
  Real sum = 0;
  for (const Real x : t) sum += std::exp(x - max);
  return max + std::log(sum);
}

template <class Real, class Round>
CrossEntropyResult<Real> compute(const CrossEntropyInputs& in, std::span<const float> dloss,
                                 const Round& round) {
  const auto rows = static_cast<std::size_t>(in.rows);
  CrossEntropyResult<Real> result{std::vector<Real>(rows), std::vector<Real>(rows), std::vector<Real>(rows),
                                  std::vector<Real>(in.logits.size())};
  const auto smoothing = static_cast<Real>(in.options.label_smoothing),
             classes = static_cast<Real>(in.classes);
  const auto square_scale = static_cast<Real>(in.options.lse_square_scale);
  parallel(in.rows, [&](std::int64_t r) {
    const auto row = static_cast<std::size_t>(r);
    const std::int64_t label = in.labels[row];
    if (label == in.options.ignore_index) return;
    const bool bad = label < 0 || label >= in.classes;
    const Shaped<Real> x = shaped<Real>(in, r);
    const Real lse = log_sum_exp(x.t);
    const Real nan = std::numeric_limits<Real>::quiet_NaN();
    const Real at_label = bad ? nan : x.t[static_cast<std::size_t>(label)];
    Real sum = 0;
    for (const Real t : x.t) sum += t;
    result.lse[row] = lse;
    result.z_loss[row] = square_scale * lse * lse;
    result.loss[row] = lse - (1 - smoothing) * at_label + result.z_loss[row];
    if (smoothing != 0) result.loss[row] -= smoothing * sum / classes;
    for (std::int64_t c = 0; c < in.classes; ++c) {
      const auto column = static_cast<std::size_t>(c);
      const Real softmax = std::exp(x.t[column] - lse);
      const Real g =
          softmax * (1 + 2 * square_scale * lse) - (c == label ? 1 - smoothing : 0) - smoothing / classes;
      result.dlogits[static_cast<std::size_t>(r * in.classes + c)] =
          bad ? nan : round(g * x.slope[column] * static_cast<Real>(dloss[row]));
    }
  });
  return result;
}

}  // namespace

CrossEntropyResult<double> cross_entropy(const CrossEntropyInputs& in, std::span<const float> dloss) {
  return compute<double>(in, dloss, [](double x) { return x; });
}

CrossEntropyResult<float> naive_cross_entropy(const CrossEntropyInputs& in, std::span<const float> dloss,
                                              DType dtype) {
  return compute<float>(in, dloss, [=](float x) { return rounded(x, dtype); });
}

std::int64_t counted_labels(const CrossEntropyInputs& in) {
  return std::count_if(in.labels.begin(), in.labels.end(),
                       [&](std::int64_t label) { return label != in.options.ignore_index; });
}

}  // namespace sprue::reference
