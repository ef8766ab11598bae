// Jobs: what `sprue prewarm` asks its worker processes to build, and what they answer. One line of JSON each.
#pragma once

#include <string>
#include <vector>

#include "core/values.h"

namespace sprue::tools {

struct Job {
  KernelSpec spec;
  Architecture arch;
};

struct JobResult {
  std::string origin = {};      ///< "directory", "read_only", "compiled"; empty: it failed.
  std::string entry_name = {};  ///< Of its cache entry.
  double compile_ms = 0;
  Resources resources = {};
  std::string error = {};  ///< Why it failed.
  int exit_code = 0;       ///< For that error.
  std::vector<std::string> log = {};
};

std::string encode(const Job& job);
Job decode_job(const std::string& line);
std::string encode(const JobResult& result);
JobResult decode_result(const std::string& line);

}  // namespace sprue::tools
