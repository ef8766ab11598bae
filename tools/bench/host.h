// Host figures: what Sprue itself costs, without and with a GPU: look-up, launch, cold compile, warm start.
#pragma once

#include <string>
#include <vector>

#include "sprue/runtime.h"

namespace sprue::tools {

struct HostFigure {
  std::string name;  ///< "lookup"
  double value = 0;
  std::string unit;  ///< "ns"
  std::string what;  ///< One line.
};

/// Those that need no GPU, and the others where there is one. Kernels are compiled for `arch`.
std::vector<HostFigure> host_figures(const RuntimeOptions& options, const std::string& arch);

/// Milliseconds of one process that finds its first kernel ready in the cache.
struct WarmStart {
  double context_ms = 0;  ///< Opening the driver and creating its context; 0 without a GPU.
  double ready_ms = 0;    ///< From the creation of the runtime to a kernel that can be launched.
};

/// What the child process of the warm-start figure does.
WarmStart warm_start(const RuntimeOptions& options, const std::string& arch);

}  // namespace sprue::tools
