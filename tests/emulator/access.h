// What instructions that touch memory share.
#pragma once

#include "emulator/decoder.h"

namespace emulator {

/// The space that an instruction names; generic where it names none.
Space space_of(const Decoder& decoder);

}  // namespace emulator
