// What `sprue prewarm` has planned and done, and how it is shown.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "jobs.h"

namespace sprue::tools {

struct PrewarmItem {
  Job job;
  std::string problem;                   ///< For people.
  std::size_t weight = 0;                ///< Guess of the compile time, in no unit: the heaviest start first.
  int shared_bytes = 0;                  ///< Dynamic, per block.
  std::optional<JobResult> result = {};  ///< Nothing: not reached before an interruption.
};

struct PrewarmReport {
  std::vector<PrewarmItem> items;
  std::vector<std::string> skipped;  ///< One remark for each kernel and architecture that do not go together.
  std::size_t workers = 0;
  double seconds = 0;
  bool interrupted = false;

  bool any_spill() const;  ///< Or any of ptxas's performance advisories.
  /// The exit code of the first failure, or 0.
  int failure() const;
};

std::string print_table(const PrewarmReport& report, int width);
std::string print_json(const PrewarmReport& report);

}  // namespace sprue::tools
