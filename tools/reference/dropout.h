// Which probabilities dropout keeps: FlashAttention-2's pattern, element by element.
#pragma once

#include <array>
#include <cstdint>

#include "sprue/ops.h"

namespace sprue::reference {

/// 7 rounds of Philox 4x32. Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key);

/// The random byte of query i and key j of the sequence and head number batch * heads + head.
int dropout_byte(const Dropout& dropout, std::int64_t sequence, std::int64_t i, std::int64_t j);
/// A probability is kept if its byte is at most this.
int keep_threshold(const Dropout& dropout);
bool kept(const Dropout& dropout, std::int64_t sequence, std::int64_t i, std::int64_t j);

}  // namespace sprue::reference
