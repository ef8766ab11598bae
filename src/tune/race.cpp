// The race: a short trial for all, then full rounds for those that were near the front.
#include "tune/race.h"

#include <algorithm>
#include <cmath>

namespace sprue::tune {

double median(std::vector<double> samples) {
  std::sort(samples.begin(), samples.end());
  const std::size_t middle = samples.size() / 2;
  return samples.size() % 2 == 1 ? samples[middle] : (samples[middle - 1] + samples[middle]) / 2;
}

double geometric_mean(const std::vector<double>& values) {
  double logarithms = 0;
  for (const double value : values) logarithms += std::log(value);
  return std::exp(logarithms / static_cast<double>(values.size()));
}

std::vector<double> race(std::size_t count, const RaceOptions& options,
                         const std::function<double(std::size_t)>& time) {
  std::vector<std::vector<double>> samples(count);
  std::vector<double> medians(count);
  std::vector<std::size_t> running(count);
  for (std::size_t i = 0; i < count; ++i) running[i] = i;

  const auto run = [&](int rounds) {
    for (int round = 0; round < rounds; ++round) {
      for (const std::size_t i : running) samples[i].push_back(time(i));
    }
    for (const std::size_t i : running) medians[i] = median(samples[i]);
  };

  if (count == 0) return medians;
  run(std::max(1, options.trial_rounds));
  const double limit = *std::min_element(medians.begin(), medians.end()) * options.keep_within;
  running.erase(std::remove_if(running.begin(), running.end(),
                               [&](std::size_t i) { return i != 0 && medians[i] > limit; }),
                running.end());
  run(options.rounds);
  return medians;
}

std::size_t winner(const std::vector<double>& medians, double margin) {
  const auto fastest = std::min_element(medians.begin(), medians.end());
  const bool beaten = fastest != medians.end() && *fastest < medians.front() * (1 - margin);
  return beaten ? static_cast<std::size_t>(fastest - medians.begin()) : 0;
}

}  // namespace sprue::tune
