// Exit codes of `sprue`: one for each kind of error, so that scripts can tell them apart.
#pragma once

#include <exception>

namespace sprue::tools {

enum ExitCode : int {
  kOk = 0,
  kUnexpected = 1,
  kUsage = 2,
  kTemplate = 3,
  kCompile = 4,
  kCuda = 5,
  kCache = 6,
  kNotPrewarmed = 7,
  kCheckFailed = 8,
  kInterrupted = 130,
};

/// The table that ends `sprue --help`.
extern const char* const kExitCodeHelp;

ExitCode exit_code(const std::exception& error);

}  // namespace sprue::tools
