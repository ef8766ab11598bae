// What the kinds of asynchronous copies share.
#pragma once

#include "emulator/decoder.h"

namespace emulator {

/// cp.async.bulk and its groups, also of tensors and as reductions.
void build_bulk(Decoder& decoder, Instruction& in);
/// st.async: a word to the shared memory of a block of the cluster, and its bytes to a barrier there.
void build_store_async(Decoder& decoder, Instruction& in);
/// Whether these lanes have issued copies out of shared memory that they have not waited for.
bool has_unfinished_bulk(const Warp& warp, std::uint32_t lanes);

}  // namespace emulator
