// Norms on the CPU: values worked out by hand, and gradients against differences.
#include "reference/norm.h"

#include <cmath>

#include "reference/random.h"
#include "support/catch.h"

namespace sprue::reference {

TEST_CASE("layer norm of two values is plus and minus one") {
  const std::vector<float> x = {1, 3}, weight = {10, 20}, bias = {0.5f, 0.25f}, residual = {1, 1};
  NormInputs in{.rows = 1, .hidden = 2, .x = x, .weight = weight, .bias = bias, .eps = 0};
  CHECK(norm(in).y == std::vector<double>{-10 + 0.5, 20 + 0.25});
  in.zero_centred_weight = true;
  CHECK(norm(in).y == std::vector<double>{-11 + 0.5, 21 + 0.25});
  in.residual = residual;
  CHECK(norm(in).z == std::vector<double>{2, 4});
  in.centred = false;
  in.residual = {};
  CHECK(norm(in).y[0] == Approx(1 / std::sqrt(5.0) * 11 + 0.5));
}

TEST_CASE("gradients of norms are slopes of norms") {
  constexpr std::int64_t kRows = 3, kHidden = 5;
  std::vector<float> x = random_normal(kRows * kHidden, 1, DType::f32),
                     weight = random_normal(kHidden, 2, DType::f32),
                     bias = random_normal(kHidden, 3, DType::f32);
  const std::vector<float> dy = random_normal(kRows * kHidden, 4, DType::f32),
                           dz = random_normal(kRows * kHidden, 5, DType::f32);
  for (const bool centred : {false, true}) {
    for (const bool zero_centred : {false, true}) {
      const NormInputs in{.rows = kRows,
                          .hidden = kHidden,
                          .x = x,
                          .weight = weight,
                          .bias = bias,
                          .centred = centred,
                          .zero_centred_weight = zero_centred};
      const auto loss = [&] {
        const NormResult<double> result = norm(in);
        double sum = 0;
        for (std::size_t i = 0; i < dy.size(); ++i)
          sum += result.y[i] * static_cast<double>(dy[i]) + result.z[i] * static_cast<double>(dz[i]);
        return sum;
      };
      const auto check = [&](std::vector<float>& values, const std::vector<double>& gradient) {
        for (std::size_t i = 0; i < values.size(); ++i) {
          const float before = values[i];
          values[i] = before + 0x1p-8f;
          const double above = loss(), high = values[i];
          values[i] = before - 0x1p-8f;
          const double below = loss(), low = values[i];
          values[i] = before;
          CHECK(gradient[i] == Approx((above - below) / (high - low)).margin(2e-3).epsilon(2e-3));
        }
      };
      const NormGradients<double> gradients = norm_backward(in, {.dy = dy, .dresidual_out = dz});
      check(x, gradients.dx);
      check(weight, gradients.dweight);
      check(bias, gradients.dbias);
    }
  }
}

}  // namespace sprue::reference
