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

TEST_CASE("what comes before and after a norm, by hand") {
  const std::vector<float> x = {1, 5}, x1 = {3, 4}, mask = {1, 0}, mask1 = {0, 1}, row_scale = {2},
                           column_scale = {3, 7}, residual = {1, 1}, gate = {0, 1}, weight = {1, 1},
                           weight1 = {2, 4};
  NormInputs in{.rows = 1, .hidden = 2, .x = x, .residual = residual, .eps = 0};
  in.row_scale = row_scale;
  in.column_scale = column_scale;
  in.x_scale = 0.5f;
  in.dropout = 0.5f;
  in.mask = mask;
  in.x1 = x1;
  in.mask1 = mask1;
  CHECK(norm(in).z == std::vector<double>{1 * 0.5 * 2 * 3 * 2 + 1, 4 * 2 + 1});
  in.residual = residual;
  in.weight = weight;
  in.weight1 = weight1;
  in.mask1 = mask;
  CHECK(norm(in).z == std::vector<double>{13, 1});
  CHECK(norm(in).y1 == std::vector<double>{2, -4});
  in.gate = gate;
  CHECK(norm(in).y[0] == 0);
  CHECK(norm(in).y[1] == Approx(-1 / (1 + std::exp(-1.0))));
  in.gate_first = true;
  CHECK(norm(in).y == std::vector<double>{-1, 1});
}

TEST_CASE(
    "dropout of norms keeps as many as it should, and other elements for every seed, offset and branch") {
  const Dropout dropout{.probability = 0.3f, .seed = 7, .offset = 1000};
  const std::vector<float> mask = norm_dropout_mask(dropout, 100, 1001, 0);
  double sum = 0;
  for (const float kept : mask) sum += kept;
  CHECK(sum / static_cast<double>(mask.size()) == Approx(0.7).margin(0.006));
  CHECK(mask != norm_dropout_mask(dropout, 100, 1001, 1));
  CHECK(mask != norm_dropout_mask({.probability = 0.3f, .seed = 8, .offset = 1000}, 100, 1001, 0));
  const std::vector<float> next =
      norm_dropout_mask({.probability = 0.3f, .seed = 7, .offset = 1000 + 126}, 99, 1001, 0);
  CHECK(next == std::vector<float>(mask.begin() + 1001, mask.end()));
  CHECK(norm_dropout_mask({}, 1, 3, 0) == std::vector<float>{1, 1, 1});
}

TEST_CASE("gradients of what comes before and after norms are slopes") {
  constexpr std::int64_t kRows = 3, kHidden = 5;
  std::uint64_t seed = 1;
  const auto draw = [&](std::int64_t count) { return random_normal(count, seed++, DType::f32); };
  std::vector<float> x = draw(15), x1 = draw(15), gate = draw(15), row_scale = draw(3),
                     column_scale = draw(5), weight = draw(5), bias = draw(5), weight1 = draw(5),
                     bias1 = draw(5), residual = draw(15);
  const std::vector<float> dy = draw(15), dy1 = draw(15), dz = draw(15);
  const Dropout dropout{.probability = 0.3f, .seed = 3};
  const std::vector<float> mask = norm_dropout_mask(dropout, kRows, kHidden, 0),
                           mask1 = norm_dropout_mask(dropout, kRows, kHidden, 1);
  for (const bool centred : {false, true}) {
    for (const bool gate_first : {false, true}) {
      NormInputs in{
          .rows = kRows, .hidden = kHidden, .x = x, .residual = residual, .weight = weight, .bias = bias};
      in.centred = centred;
      in.row_scale = row_scale;
      in.column_scale = column_scale;
      in.x_scale = 1.5f;
      in.dropout = dropout.probability;
      in.mask = mask;
      in.x1 = x1;
      in.mask1 = mask1;
      in.gate = gate;
      in.gate_first = gate_first;
      in.weight1 = weight1;
      in.bias1 = bias1;
      const auto loss = [&] {
        const NormResult<double> result = norm(in);
        double sum = 0;
        for (std::size_t i = 0; i < dy.size(); ++i) {
          sum += result.y[i] * static_cast<double>(dy[i]) + result.y1[i] * static_cast<double>(dy1[i]) +
                 result.z[i] * static_cast<double>(dz[i]);
        }
        return sum;
      };
      const auto check = [&](const char* name, std::vector<float>& values,
                             const std::vector<double>& gradient) {
        for (std::size_t i = 0; i < values.size(); ++i) {
          INFO(name << " " << i);
          const float before = values[i];
          values[i] = before + 0x1p-8f;
          const double above = loss(), high = values[i];
          values[i] = before - 0x1p-8f;
          const double below = loss(), low = values[i];
          values[i] = before;
          CHECK(gradient[i] == Approx((above - below) / (high - low)).margin(3e-3).epsilon(3e-3));
        }
      };
      const NormResult<double> result = norm(in);
      const std::vector<float> z(result.z.begin(), result.z.end());
      NormInputs of_z = in;
      of_z.x = z;
      const NormGradients<double> gradients =
          norm_backward(of_z, {.dy = dy, .dresidual_out = dz, .dy1 = dy1, .x = x});
      check("x", x, gradients.dx);
      check("x1", x1, gradients.dx1);
      check("residual", residual, gradients.dz);
      check("gate", gate, gradients.dgate);
      check("weight", weight, gradients.dweight);
      check("bias", bias, gradients.dbias);
      check("weight1", weight1, gradients.dweight1);
      check("bias1", bias1, gradients.dbias1);
      check("column_scale", column_scale, gradients.dcolumn_scale);
    }
  }
}

}  // namespace sprue::reference
