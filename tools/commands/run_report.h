// What `sprue run` found out, and how it is told.
#pragma once

#include <string>
#include <vector>

#include "operators/operator.h"
#include "sprue/runtime.h"

namespace sprue::tools {

struct RunReport {
  std::string op;
  std::string rate_unit;  ///< "TFLOPS" or "GB/s"
  KernelInfo kernel;
  std::string shape = {};
  double median_us = 0, rate = 0;
  std::vector<Check> checks = {};
  std::vector<std::string> written = {};  ///< Files.
};

/// To standard output, as text or as JSON. Returns the exit code: whether the checks passed.
int tell(const RunReport& report, bool as_json);

}  // namespace sprue::tools
