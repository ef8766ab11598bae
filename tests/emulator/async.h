// What the kinds of asynchronous copies share.
#pragma once

#include "emulator/decoder.h"

namespace emulator {

/// cp.async.bulk and its groups, also of tensors and as reductions.
void build_bulk(Decoder& decoder, Instruction& in);

}  // namespace emulator
