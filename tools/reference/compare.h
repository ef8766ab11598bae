// How far a result is from the truth, and how far it may be.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace sprue::reference {

struct Comparison {
  double error = 0;         ///< Largest absolute difference; infinity if any value is not a number.
  double bound = 0;         ///< What the error may be at most.
  std::int64_t where = -1;  ///< Index of the largest difference.
  bool passed() const { return error <= bound; }
  std::string print() const;  ///< "max error 1.2e-03, bound 3.1e-03" and, if it failed, where
};

/// Infinities agree with infinities of the same sign.
Comparison compare(std::span<const float> result, std::span<const double> truth, double bound);
/// The bound is twice the largest error of `naive`, plus 1e-5.
Comparison compare(std::span<const float> result, std::span<const double> truth,
                   std::span<const float> naive);
/// Of gradients: the bound is three times the largest error of `naive`, plus 1e-4.
Comparison compare_gradient(std::span<const float> result, std::span<const double> truth,
                            std::span<const float> naive);

}  // namespace sprue::reference
