// The largest error of a result, where NaN counts as infinitely wrong.
#include "reference/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace sprue::reference {
namespace {

double difference(double a, double b) {
  if (a == b) return 0;
  const double distance = std::abs(a - b);
  return std::isnan(distance) ? std::numeric_limits<double>::infinity() : distance;
}

double largest_difference(std::span<const float> values, std::span<const double> truth) {
  double largest = 0;
  for (std::size_t i = 0; i < truth.size(); ++i) largest = std::max(largest, difference(values[i], truth[i]));
  return largest;
}

}  // namespace

std::string Comparison::print() const {
  const std::string place = passed() ? "" : fmt::format(", at element {}", where);
  return fmt::format("max error {:.2e}, bound {:.2e}{}", error, bound, place);
}

Comparison compare(std::span<const float> result, std::span<const double> truth,
                   std::span<const float> naive) {
  return compare(result, truth, 2 * largest_difference(naive, truth) + 1e-5);
}

Comparison compare_gradient(std::span<const float> result, std::span<const double> truth,
                            std::span<const float> naive) {
  return compare(result, truth, 3 * largest_difference(naive, truth) + 1e-4);
}

Comparison compare(std::span<const float> result, std::span<const double> truth, double bound) {
  Comparison comparison{.bound = bound};
  if (result.size() != truth.size())
    return {.error = std::numeric_limits<double>::infinity(), .bound = bound};
  for (std::size_t i = 0; i < truth.size(); ++i) {
    const double error = difference(result[i], truth[i]);
    if (error > comparison.error) comparison = {error, bound, static_cast<std::int64_t>(i)};
  }
  return comparison;
}

}  // namespace sprue::reference
