// Tuning without a GPU: which candidates are tried, how a race goes and who wins it.
#include <algorithm>
#include <cstdint>
#include <map>
#include <set>

#include "support/catch.h"
#include "tune/candidates.h"
#include "tune/race.h"

namespace sprue::tune {
namespace {

Values schedule(std::int64_t block_n) {
  return {{"BLOCK_N", block_n}};
}

std::vector<Values> schedules(std::int64_t count) {
  std::vector<Values> all;
  for (std::int64_t i = 0; i < count; ++i) all.push_back(schedule(i));
  return all;
}

}  // namespace

TEST_CASE("candidates: the baseline comes first and once") {
  const auto all = candidates(schedules(5), schedule(3), 0);
  CHECK(all == std::vector<Values>{schedule(3), schedule(0), schedule(1), schedule(2), schedule(4)});
  CHECK(candidates({}, schedule(3), 0) == std::vector<Values>{schedule(3)});
  CHECK(candidates(schedules(5), schedule(3), 1) == std::vector<Values>{schedule(3)});
}

TEST_CASE("candidates: a limit thins evenly, without repeats") {
  const auto few = candidates(schedules(100), schedule(0), 11);
  CHECK(few.size() == 11);
  CHECK(std::set<Values>(few.begin(), few.end()).size() == 11);
  CHECK(few[1] == schedule(1));
  CHECK(few[10] == schedule(90));
  CHECK(candidates(schedules(4), schedule(0), 50).size() == 4);
}

TEST_CASE("median and geometric mean") {
  CHECK(median({3, 1, 2}) == 2);
  CHECK(median({4, 1, 2, 3}) == 2.5);
  CHECK(median({7}) == 7);
  CHECK(geometric_mean({1, 4}) == Approx(2));
}

TEST_CASE("race: slow candidates leave after the trial, the baseline stays") {
  const std::vector<double> truth = {2.0, 1.0, 1.05, 1.5};
  std::map<std::size_t, int> runs;
  const auto time = [&](std::size_t i) {
    ++runs[i];
    return truth[i];
  };
  CHECK(race(4, {.trial_rounds = 2, .rounds = 5}, time) == truth);
  CHECK(runs == std::map<std::size_t, int>{{0, 7}, {1, 7}, {2, 7}, {3, 2}});
}

TEST_CASE("race: rounds are interleaved and one outlier does not decide") {
  std::vector<std::size_t> order;
  const auto time = [&](std::size_t i) {
    order.push_back(i);
    return order.size() == 1 ? 100.0 : 1.0 + 0.01 * static_cast<double>(i);
  };
  const auto medians = race(2, {.trial_rounds = 3, .rounds = 2}, time);
  CHECK(medians[0] == 1.0);
  CHECK(medians[1] == 1.01);
  CHECK(order == std::vector<std::size_t>{0, 1, 0, 1, 0, 1, 0, 1, 0, 1});
  CHECK(race(0, {}, time).empty());
}

TEST_CASE("winner: the baseline must be beaten by the margin") {
  CHECK(winner({1.0, 0.995, 2.0}) == 0);
  CHECK(winner({1.0, 0.98, 0.97}) == 2);
  CHECK(winner({1.0, 0.98}, 0.05) == 0);
  CHECK(winner({1.0}) == 0);
}

}  // namespace sprue::tune
