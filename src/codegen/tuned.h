// Tuned schedules: JSON rows that `sprue tune` measures and the runtime prefers to a manifest's defaults.
//
//   {"tuned": [{"kernel": "rms_norm", "problem": {"HIDDEN": 4096}, "architectures": ["sm_90"],
//               "schedule": {"WARPS": 8}, "measured": {"device": "H100", "driver": "580.1",
//               "nvrtc": "13.0", "date": "2025-01-31", "median_us": 3.1}}]}
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "codegen/store.h"
#include "core/architecture.h"
#include "core/values.h"

namespace sprue::codegen {

/// Where, when and how fast.
struct Measurement {
  std::string device, driver, nvrtc, date;
  double median_us = 0;
  bool operator==(const Measurement&) const = default;
};

struct TunedRow {
  std::string kernel;
  Values problem;                          ///< A parameter that is not named may have any value.
  std::vector<std::string> architectures;  ///< As in a manifest: "sm_90" admits sm_90a; empty: all.
  Values schedule;                         ///< A parameter that is not named keeps its default.
  Measurement measured;
  std::string origin;  ///< "h100.json:3" when it was read; not written.
};

/// TemplateError with line and column for anything that is not of the form above. `path` is what errors
/// call the text.
std::vector<TunedRow> parse_tuned(std::string_view path, std::string_view json);
std::string print_tuned(const std::vector<TunedRow>& rows);
/// A row takes the place of the one with equal kernel, problem and architectures; others come last.
void merge_tuned(std::vector<TunedRow>& rows, const std::vector<TunedRow>& newer);

/// The rows of a file; none if there is no such file. ArgumentError if it cannot be read; else as above.
std::vector<TunedRow> read_tuned(const std::filesystem::path& file);
/// Replaces the file in one step. ArgumentError if it cannot be written.
void write_tuned(const std::filesystem::path& file, const std::vector<TunedRow>& rows);

/// Every row that a runtime knows.
class TunedTable {
 public:
  /// The rows that ship, which are tuned/*.json of the store, then `paths`: files, or directories whose .json
  /// files are taken in order of their names. ArgumentError for a path that does not exist or cannot be read.
  static TunedTable load(const TemplateStore& store, const std::vector<std::filesystem::path>& paths);

  /// Adds one file; it wins against those added before.
  void add(std::vector<TunedRow> file);
  /// Of the last file with a row that fits: the row that names most of the problem, then one that names
  /// architectures, then the later one. nullptr if no row fits. `problem` is complete.
  const TunedRow* find(std::string_view kernel, const Values& problem, const Architecture& arch) const;

 private:
  std::vector<std::vector<TunedRow>> files_;
};

}  // namespace sprue::codegen
