// launch: gives a kernel to a stream. The hot path: no allocation, no lock, no state.
#pragma once

#include "sprue/tensor.h"

namespace sprue::driver {

struct LaunchConfig {
  void* kernel = nullptr;        ///< Module::kernel(), prepared on the stream's device.
  unsigned grid[3] = {1, 1, 1};  ///< Blocks.
  unsigned threads = 1;          ///< Per block.
  unsigned shared_bytes = 0;     ///< Dynamic, per block.
  Stream stream = nullptr;
  unsigned cluster[3] = {1, 1, 1};  ///< Blocks per cluster; must divide the grid.
  bool programmatic = false;  ///< May start before the kernel ahead of it in the stream has ended (PDL).
  bool cooperative = false;   ///< All blocks are resident at once and may wait for each other.
};

/// `params` points to the one struct that the kernel takes; it is copied before the call returns. CudaError
/// if the driver refuses the launch.
void launch(const LaunchConfig& config, const void* params);

}  // namespace sprue::driver
