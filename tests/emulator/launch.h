// Runs a grid: clusters of blocks spread over the host's threads.
#pragma once

#include "emulator/block.h"

namespace emulator {

/// Returns when all blocks have ended. Fault with the first thing that goes wrong.
void run(const Launch& launch);

}  // namespace emulator
