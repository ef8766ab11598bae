// The reference of softmax: values worked out by hand, and its gradient against differences.
#include "reference/softmax.h"

#include <cmath>

#include "reference/random.h"
#include "support/catch.h"

namespace sprue::reference {

TEST_CASE("softmax's reference: two columns, masked and causal ones") {
  const std::vector<float> x = {0, std::log(3.0f), NAN, 1};
  const std::vector<float> mask = {0, 0, 1, 1};
  const auto y = softmax({.queries = 2, .columns = 2, .x = x, .mask = mask});
  CHECK(y[0] == Approx(0.25));
  CHECK(y[1] == Approx(0.75));
  CHECK((y[2] == 0 && y[3] == 0));
  const auto causal =
      softmax({.queries = 2, .columns = 2, .x = std::vector<float>{5, NAN, 0, 0}, .causal = true});
  CHECK((causal[0] == 1 && causal[1] == 0 && causal[2] == 0.5));
  const auto more_queries = softmax({.queries = 3, .columns = 2, .x = std::vector<float>(6), .causal = true});
  CHECK((more_queries[0] == 0 && more_queries[2] == 1 && more_queries[5] == 0.5));
  const auto infinite =
      softmax({.queries = 2, .columns = 2, .x = std::vector<float>{INFINITY, 0, -INFINITY, -INFINITY}});
  CHECK((std::isnan(infinite[1]) && infinite[2] == 0));
}

TEST_CASE("softmax's reference: the gradient agrees with differences") {
  constexpr std::int64_t kColumns = 5;
  constexpr float kScale = -0.7f;
  const auto dy = random_normal(kColumns, 2, DType::f32);
  auto x = random_normal(kColumns, 1, DType::f32);
  const auto loss = [&] {
    const auto y = softmax({.queries = 1, .columns = kColumns, .x = x, .scale = kScale});
    double sum = 0;
    for (std::size_t c = 0; c < kColumns; ++c) sum += y[c] * static_cast<double>(dy[c]);
    return sum;
  };
  const auto y = softmax({.queries = 1, .columns = kColumns, .x = x, .scale = kScale});
  const auto dx = softmax_backward(std::vector<float>(y.begin(), y.end()), dy, kColumns, kScale);
  for (std::size_t c = 0; c < kColumns; ++c) {
    constexpr float kStep = 0x1p-8f;
    const float middle = x[c];
    x[c] = middle + kStep;
    const double above = loss();
    x[c] = middle - kStep;
    const double below = loss();
    x[c] = middle;
    CHECK(dx[c] == Approx((above - below) / (2 * kStep)).margin(1e-5));
  }
}

}  // namespace sprue::reference
