// What kernels that draw random numbers are given.
#pragma once

#include <array>
#include <cstdint>

namespace sprue::ops {

using RoundKeys = std::array<std::uint32_t, 14>;

/// The keys of Philox's seven rounds, each the one before plus two constants of the generator.
inline RoundKeys round_keys(std::uint64_t seed) {
  RoundKeys keys{};
  auto low = static_cast<std::uint32_t>(seed), high = static_cast<std::uint32_t>(seed >> 32);
  for (std::size_t round = 0; round < keys.size(); round += 2) {
    keys[round] = low;
    keys[round + 1] = high;
    low += 0x9E3779B9;
    high += 0xBB67AE85;
  }
  return keys;
}

}  // namespace sprue::ops
