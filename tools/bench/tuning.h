// Tuning: the problems that shapes lead to, and the race of candidate schedules for one of them on this GPU.
#pragma once

#include <string>
#include <vector>

#include "core/values.h"
#include "operators/operator.h"
#include "sprue/runtime.h"

namespace sprue::tools {

/// Shapes that run the same kernel, and so must share a schedule.
struct Problem {
  KernelSpec spec;  ///< With the schedule that the runtime gives it now: the baseline.
  std::string architecture;
  std::vector<Case> shapes;
};

struct Candidate {
  Values schedule;
  std::string fault = {};  ///< Why it was not timed; empty if it was.
  double median_us = 0;    ///< The geometric mean over the shapes.
};

std::vector<Problem> problems_of(Runtime& runtime, const std::vector<Case>& shapes);

/// Every legal schedule of the problem, the baseline first; at most `most` of them, unless that is 0.
std::vector<Candidate> candidates_of(Runtime& runtime, const Problem& problem, std::size_t most);

/// Compiles all candidates in parallel, checks the result of each against that of the first, and times those
/// that are right. Fills in faults and medians. Error if the first, the baseline, cannot be timed.
void race_candidates(Runtime& runtime, const Problem& problem, int rounds,
                     std::vector<Candidate>& candidates);

}  // namespace sprue::tools
