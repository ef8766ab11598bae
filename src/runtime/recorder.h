// Recorder: writes down which kernels an application asks for, as a prewarm manifest for its next start.
#pragma once

#include <filesystem>
#include <mutex>
#include <set>
#include <string>

#include "core/architecture.h"
#include "core/values.h"
#include "sprue/log.h"

namespace sprue {

/// Thread-safe; several processes may share the file. A file that cannot be written is a warning, never an
/// error.
class Recorder {
 public:
  /// Records nothing when `file` is empty.
  Recorder(std::filesystem::path file, LogSink log) : file_(std::move(file)), log_(std::move(log)) {}

  /// Each distinct kernel, problem, schedule and architecture once.
  void add(const KernelSpec& asked, const Architecture& arch);

 private:
  const std::filesystem::path file_;
  const LogSink log_;
  std::mutex mutex_;
  std::set<std::string> known_;
};

}  // namespace sprue
