// Rotary position embedding on the CPU, by values worked out by hand.
#include "reference/rope.h"

#include "support/catch.h"

namespace sprue::reference {

TEST_CASE("rope turns pairs of channels by a quarter") {
  const std::vector<float> x = {1, 2, 3, 4, 5}, cos = {1, 1, 0, 0}, sin = {0, 0, 1, 1};
  const std::vector<std::int64_t> first = {0}, second = {1}, beyond = {2};
  RopeInputs in{.head_dim = 5, .rotary_dim = 4, .x = x, .positions = first, .cos = cos, .sin = sin};
  CHECK(rope(in) == std::vector<double>{1, 2, 3, 4, 5});
  in.positions = second;
  CHECK(rope(in) == std::vector<double>{-3, -4, 1, 2, 5});
  in.conjugate = true;
  CHECK(rope(in) == std::vector<double>{3, 4, -1, -2, 5});
  in.interleaved = true;
  CHECK(rope(in) == std::vector<double>{2, -1, 4, -3, 5});
  in.positions = beyond;
  CHECK(rope(in) == std::vector<double>{1, 2, 3, 4, 5});
}

}  // namespace sprue::reference
