// Prewarm manifests: JSON lists of kernels to build ahead of time. An array stands for each of its elements.
//
//   {"kernels": [{"kernel": "rms_norm", "problem": {"HIDDEN": [4096, 8192], "SCALAR": "bf16"},
//                 "schedule": {"WARPS": 8}, "architectures": ["sm_90"]}]}
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "core/values.h"

namespace sprue::codegen {

/// One kernel to build. What `problem` and `schedule` do not name is left to defaults.
struct PrewarmEntry {
  std::string kernel;
  Values problem, schedule;
  std::vector<std::string> architectures;  ///< Empty: whatever the caller builds for.
  bool operator==(const PrewarmEntry&) const = default;
};

/// The entries in the order written; of an array, the last name varies fastest. TemplateError with line and
/// column for anything that is not of the form above, or for more than 16384 entries.
std::vector<PrewarmEntry> parse_prewarm(std::string_view path, std::string_view json);
/// As above for a file; ArgumentError if there is none or it cannot be read.
std::vector<PrewarmEntry> read_prewarm(const std::filesystem::path& file);

std::string print_prewarm(const std::vector<PrewarmEntry>& entries);
/// Adds an entry to a file, which is made if there is none. What stands in it stays as it is, and the file is
/// replaced in one step, so that several threads and processes may append. False: the entry was there
/// already.
bool append_prewarm(const std::filesystem::path& file, const PrewarmEntry& entry);

}  // namespace sprue::codegen
