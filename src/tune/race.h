// race: who is fastest. Rounds are interleaved, so that a clock that drifts slows all candidates alike.
#pragma once

#include <cstddef>
#include <functional>
#include <vector>

namespace sprue::tune {

struct RaceOptions {
  int trial_rounds = 3;      ///< Everybody runs these.
  int rounds = 20;           ///< Those still in the race run these too.
  double keep_within = 1.1;  ///< Who is slower than the fastest times this leaves after the trial.
};

/// Median of the samples; the mean of the middle two of an even number. There is at least one.
double median(std::vector<double> samples);

/// The geometric mean; there is at least one value, and all are positive.
double geometric_mean(const std::vector<double>& values);

/// The median time of each of `count` candidates; `time(i)` runs candidate i once and says how long it took.
std::vector<double> race(std::size_t count, const RaceOptions& options,
                         const std::function<double(std::size_t)>& time);

/// The fastest candidate; candidate 0, the baseline, unless it is beaten by more than `margin` (0.01 is 1 %).
std::size_t winner(const std::vector<double>& medians, double margin = 0.01);

}  // namespace sprue::tune
