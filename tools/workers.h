// Worker processes: copies of this program that do jobs, because NVRTC compiles one kernel at a time per
// process. A job and its answer are one line each. A worker that dies fails its job alone and is replaced.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace sprue::tools {

struct WorkerAnswer {
  std::size_t job = 0;
  std::string line;  ///< What the worker answered; empty if it died.
  std::string fate;  ///< How it died: "killed by signal 9 (Killed)".
};

/// Gives every job to one of `count` workers, in order, and calls `answered` for each. Each worker runs this
/// program with `arguments`. False when SIGINT or SIGTERM ended it early; the workers are gone then, too.
bool run_workers(const std::vector<std::string>& jobs, std::size_t count,
                 const std::vector<std::string>& arguments,
                 const std::function<void(const WorkerAnswer&)>& answered);

/// The worker's side: answers each line with the line that `work` returns, until there are no more.
/// `cancelled`, given to `work`, is true once the process that gave the jobs has gone.
void serve_jobs(
    const std::function<std::string(const std::string& job, const std::function<bool()>& cancelled)>& work);

}  // namespace sprue::tools
