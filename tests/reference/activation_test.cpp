// The reference of activation functions: known values, and derivatives against differences.
#include "reference/activation.h"

#include <cmath>

#include "support/catch.h"

namespace sprue::reference {
namespace {

using enum ActivationFunction;
constexpr ActivationFunction kFunctions[] = {identity, relu, squared_relu, leaky_relu,
                                             sigmoid,  silu, gelu,         gelu_tanh};

double value_of(ActivationFunction function, float x) {
  return activation(
      {.columns = 1, .x = std::vector<float>{x}, .function = function, .negative_slope = 0.1f})[0];
}

}  // namespace

TEST_CASE("activation's reference: known values") {
  CHECK(value_of(relu, -2) == 0);
  CHECK(value_of(squared_relu, 3) == 9);
  CHECK(value_of(leaky_relu, -2) == Approx(-0.2));
  CHECK(value_of(sigmoid, 0) == 0.5);
  CHECK(value_of(silu, 1) == Approx(0.7310585786));
  CHECK(value_of(gelu, 1) == Approx(0.8413447461));
  CHECK(value_of(gelu_tanh, 1) == Approx(0.8411919906));
  const std::vector<float> x = {2}, gate = {-1}, bias = {1}, gate_bias = {4};
  CHECK(activation({.columns = 1,
                    .x = x,
                    .gate = gate,
                    .bias = bias,
                    .gate_bias = gate_bias,
                    .function = squared_relu})[0] == 27);
}

TEST_CASE("activation's reference: gradients agree with differences") {
  constexpr float kStep = 0x1p-8f;
  for (const ActivationFunction function : kFunctions) {
    for (const float at : {-2.5f, -0.3f, 0.7f, 3.1f}) {
      const std::vector<float> x = {at}, other = {1.5f}, dy = {2};
      const auto alone =
          activation_backward({.columns = 1, .x = x, .function = function, .negative_slope = 0.1f}, dy);
      const double slope = (value_of(function, at + kStep) - value_of(function, at - kStep)) / (2.0 * kStep);
      CHECK(alone.dx[0] == Approx(2 * slope).margin(1e-4));
      const auto gated = activation_backward(
          {.columns = 1, .x = other, .gate = x, .function = function, .negative_slope = 0.1f}, dy);
      CHECK(gated.dx[0] == Approx(2 * value_of(function, at)));
      CHECK(gated.dgate[0] == Approx(3 * slope).margin(1e-4));
      CHECK((gated.dbias[0] == gated.dx[0] && gated.dgate_bias[0] == gated.dgate[0]));
    }
  }
}

}  // namespace sprue::reference
