// A call of Philox gives 16 bytes to each of the 32 lanes that hold a tile of 16 queries and 32 keys, in the
// layout of the accumulators of mma.m16n8.
#include "reference/dropout.h"

#include <cmath>

namespace sprue::reference {

std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> c, std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 7; ++round) {
    const std::uint64_t a = std::uint64_t{0xD2511F53} * c[0], b = std::uint64_t{0xCD9E8D57} * c[2];
    c = {static_cast<std::uint32_t>(b >> 32) ^ c[1] ^ key[0], static_cast<std::uint32_t>(b),
         static_cast<std::uint32_t>(a >> 32) ^ c[3] ^ key[1], static_cast<std::uint32_t>(a)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return c;
}

int dropout_byte(const Dropout& dropout, std::int64_t sequence, std::int64_t i, std::int64_t j) {
  const std::int64_t lane = 4 * (i % 8) + j % 8 / 2;
  const std::uint64_t offset = dropout.offset + static_cast<std::uint64_t>(sequence * 32 + lane);
  const auto words =
      philox({static_cast<std::uint32_t>(offset), static_cast<std::uint32_t>(offset >> 32),
              static_cast<std::uint32_t>(i / 16), static_cast<std::uint32_t>(j / 32)},
             {static_cast<std::uint32_t>(dropout.seed), static_cast<std::uint32_t>(dropout.seed >> 32)});
  const std::int64_t byte = 4 * (j % 32 / 8) + 2 * (i % 16 / 8) + j % 2;
  return static_cast<int>(words[static_cast<std::size_t>(byte / 4)] >> 8 * (byte % 4) & 0xff);
}

int keep_threshold(const Dropout& dropout) {
  return static_cast<int>(std::floor((1 - dropout.probability) * 255.0));
}

bool kept(const Dropout& dropout, std::int64_t sequence, std::int64_t i, std::int64_t j) {
  return dropout.probability == 0 || dropout_byte(dropout, sequence, i, j) <= keep_threshold(dropout);
}

}  // namespace sprue::reference
