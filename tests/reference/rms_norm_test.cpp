// rms_norm on the CPU against values worked out by hand.
#include "reference/rms_norm.h"

#include <cmath>

#include "support/catch.h"

namespace sprue::reference {

TEST_CASE("rms_norm divides by the root of the mean square") {
  const std::vector<float> x = {3, 4, 0, 0}, weight = {1, 2, 3, 4};
  const auto y = rms_norm({.rows = 1, .hidden = 4, .x = x, .weight = weight, .eps = 0});
  CHECK(y[0] == Approx(3 / 2.5));
  CHECK(y[1] == Approx(2 * 4 / 2.5));
  CHECK(y[2] == 0);
  CHECK(rms_norm({.rows = 2, .hidden = 2, .x = x, .weight = {}, .eps = 0.25f})[0] ==
        Approx(3 / std::sqrt(12.75)));
  const auto naive =
      naive_rms_norm({.rows = 1, .hidden = 4, .x = x, .weight = weight, .eps = 0}, DType::bf16);
  const double error = std::abs(naive[1] - y[1]);
  CHECK(error > 0);
  CHECK(error < 0.02);
}

}  // namespace sprue::reference
