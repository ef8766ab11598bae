// Dropout, as several operators have it.
#pragma once

#include <cstdint>

namespace sprue {

/// What is kept is divided by 1 - probability. The pattern is a function of seed, offset and an element's place alone
/// (Philox 4x32 with 7 rounds), whatever the strides and the GPU. Each operator says how the probability is rounded, and
/// by how much calls that share a seed advance the offset.
struct Dropout {
  float probability = 0;  ///< Of dropping, in [0, 1).
  std::uint64_t seed = 0;
  std::uint64_t offset = 0;
};

}  // namespace sprue
