// What other families need of the control instructions.
#pragma once

#include "emulator/decoder.h"

namespace emulator {

/// Ends the lanes: ret and exit, and what follows a kernel's last instruction.
Status end_thread(Warp& warp, const Instruction& in, std::uint32_t mask);

}  // namespace emulator
