// Cross entropy on the CPU: values worked out by hand, and gradients against differences.
#include "reference/cross_entropy.h"

#include <cmath>

#include "reference/random.h"
#include "support/catch.h"

namespace sprue::reference {

TEST_CASE("cross entropy of two classes") {
  const std::vector<float> logits = {0, 0, 1, 3, 5, 7}, dloss = {1, 1, 1};
  const std::vector<std::int64_t> labels = {1, 0, -100};
  CrossEntropyInputs in{.rows = 3, .classes = 2, .logits = logits, .labels = labels};
  const auto plain = cross_entropy(in, dloss);
  CHECK(plain.loss[0] == Approx(std::log(2.0)));
  CHECK(plain.loss[1] == Approx(std::log1p(std::exp(2.0))));
  CHECK(plain.loss[2] == 0);
  CHECK(plain.dlogits[0] == Approx(0.5));
  CHECK(plain.dlogits[1] == Approx(-0.5));
  CHECK(plain.dlogits[5] == 0);
  CHECK(counted_labels(in) == 2);
  in.options.label_smoothing = 0.5f;
  CHECK(cross_entropy(in, dloss).loss[1] ==
        Approx(3 + std::log1p(std::exp(-2.0)) - 0.5 * 1 - 0.25 * (1 + 3)));
  in.options = {.lse_square_scale = 2};
  CHECK(cross_entropy(in, dloss).z_loss[0] == Approx(2 * std::log(2.0) * std::log(2.0)));
  in.options = {.softcap = 1};
  CHECK(cross_entropy(in, dloss).lse[1] ==
        Approx(std::log(std::exp(std::tanh(1.0)) + std::exp(std::tanh(3.0)))));
}

TEST_CASE("gradients of cross entropy are slopes of it") {
  constexpr std::int64_t kRows = 3, kClasses = 5;
  std::vector<float> logits = random_normal(kRows * kClasses, 1, DType::f32);
  const std::vector<float> dloss = random_normal(kRows, 2, DType::f32);
  const std::vector<std::int64_t> labels = {4, 0, 2};
  for (const float smoothing : {0.0f, 0.25f}) {
    for (const float softcap : {0.0f, 2.0f}) {
      const CrossEntropyInputs in{.rows = kRows,
                                  .classes = kClasses,
                                  .logits = logits,
                                  .labels = labels,
                                  .options = {.label_smoothing = smoothing,
                                              .logit_scale = 1.5f,
                                              .softcap = softcap,
                                              .lse_square_scale = 0.125f}};
      const auto loss = [&] {
        const auto result = cross_entropy(in, dloss);
        double sum = 0;
        for (std::size_t r = 0; r < dloss.size(); ++r) sum += result.loss[r] * static_cast<double>(dloss[r]);
        return sum;
      };
      const auto gradient = cross_entropy(in, dloss).dlogits;
      for (std::size_t i = 0; i < logits.size(); ++i) {
        const float before = logits[i];
        logits[i] = before + 0x1p-8f;
        const double above = loss(), high = logits[i];
        logits[i] = before - 0x1p-8f;
        const double below = loss(), low = logits[i];
        logits[i] = before;
        CHECK(gradient[i] == Approx((above - below) / (high - low)).margin(1e-4).epsilon(1e-3));
      }
    }
  }
}

}  // namespace sprue::reference
