// FlashAttention-2's dropout pattern against published words of Philox and bytes of another implementation.
#include "reference/dropout.h"

#include <cmath>

#include "support/catch.h"

namespace sprue::reference {

TEST_CASE("Philox 4x32-7 gives the words that Random123 publishes") {
  using Words = std::array<std::uint32_t, 4>;
  CHECK(philox({0, 0, 0, 0}, {0, 0}) == Words{0x5f6fb709, 0x0d893f64, 0x4f121f81, 0x4f730a48});
  constexpr std::uint32_t kOnes = 0xffffffff;
  CHECK(philox({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}) ==
        Words{0x5207ddc2, 0x45165e59, 0x4d8ee751, 0x8c52f662});
  CHECK(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        Words{0x4dfccaba, 0x190a87f0, 0xc47362ba, 0xb6b5242a});
}

TEST_CASE("bytes of dropout, worked out by a Python program") {
  CHECK(dropout_byte({}, 0, 0, 0) == 9);
  CHECK(dropout_byte({.seed = 42}, 0, 0, 1) == 193);
  CHECK(dropout_byte({.seed = 42}, 5, 17, 33) == 18);
  CHECK(dropout_byte({.seed = 42, .offset = std::uint64_t{1} << 32}, 3, 9, 30) == 231);
  CHECK(dropout_byte({.seed = 1, .offset = 2}, 3, 15, 31) == 219);
  CHECK(dropout_byte({.seed = 1, .offset = 2}, 3, 8, 8) == 34);
  // offset + sequence * 32 + lane overflows 64 bits
  CHECK(dropout_byte({.seed = 0x123456789abcdef0, .offset = 0xfffffffffffffff0}, 7, 1000, 2047) == 96);
}

TEST_CASE("the threshold is FlashAttention-2's") {
  CHECK(keep_threshold({.probability = 0.17f}) == 211);
  CHECK(keep_threshold({.probability = 0.5f}) == 127);
  CHECK(keep_threshold({.probability = 0.999f}) == 0);
  CHECK(kept({.probability = 0, .seed = 3}, 0, 0, 0));
}

TEST_CASE("as many are kept as the threshold says, and other heads, seeds and offsets keep others") {
  const Dropout dropout{.probability = 0.17f, .seed = 7, .offset = 64};
  Dropout other_seed = dropout, other_offset = dropout;
  other_seed.seed = 8;
  other_offset.offset = 64 + 4 * 32;
  constexpr int kSize = 256;
  int count = 0, head_differs = 0, seed_differs = 0, offset_differs = 0;
  for (int i = 0; i < kSize; ++i) {
    for (int j = 0; j < kSize; ++j) {
      const bool here = kept(dropout, 3, i, j);
      count += here;
      head_differs += here != kept(dropout, 4, i, j);
      seed_differs += here != kept(other_seed, 3, i, j);
      offset_differs += here != kept(other_offset, 3, i, j);
    }
  }
  const double all = kSize * kSize, fraction = 212.0 / 256, differing = 2 * fraction * (1 - fraction);
  CHECK(count / all == Approx(fraction).margin(0.005));
  CHECK(head_differs / all == Approx(differing).margin(0.01));
  CHECK(seed_differs / all == Approx(differing).margin(0.01));
  CHECK(offset_differs / all == Approx(differing).margin(0.01));
}

}  // namespace sprue::reference
