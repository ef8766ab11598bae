// Barriers in shared memory that count arrivals and bytes.
#pragma once

#include <cstdint>

#include "emulator/block.h"

namespace emulator {

/// `address` is one of shared memory, as `block` sees it. Fault for what is no barrier, or for one arrival
/// too many.
void arrive(Block& block, std::uint64_t address, std::uint32_t count);
/// One more arrival to wait for in this phase.
void add_pending(Block& block, std::uint64_t address, std::uint32_t count);
/// Announces bytes, or with a negative number says that they have come.
void expect_bytes(Block& block, std::uint64_t address, std::int64_t bytes);

}  // namespace emulator
