// The checks of `sprue doctor`. None changes anything; each says what it found, and what to do where that is
// not good.
#pragma once

#include <string>
#include <vector>

#include "exit_codes.h"
#include "sprue/runtime.h"

namespace sprue::tools {

struct Finding {
  enum Level { ok, warning, problem } level = ok;
  std::string area;  ///< "driver", "compiler", "cache", ...
  std::string text;
  std::string advice = {};  ///< What to do; empty when all is well.
  ExitCode code = kOk;      ///< For a problem: what a launch would end with.
};

using Findings = std::vector<Finding>;

/// `options` become those of the environment where that parses.
void check_environment(Findings& findings, RuntimeOptions& options);
void check_templates(Findings& findings, const RuntimeOptions& options);
void check_compiler(Findings& findings, const RuntimeOptions& options);
void check_cache(Findings& findings, const RuntimeOptions& options);
void check_driver(Findings& findings);

}  // namespace sprue::tools
