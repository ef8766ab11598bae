// Activation functions in loops that one can check by eye: the same ones for the truth and for the naive
// version.
#include "reference/activation.h"

#include <cmath>
#include <numbers>

#include "reference/scalar.h"

namespace sprue::reference {
namespace {

template <class Real>
struct Activated {
  Real value, slope;
};

template <class Real>
Activated<Real> activate(ActivationFunction function, Real x, float negative_slope) {
  const Real sigmoid = 1 / (1 + std::exp(-x));
  switch (function) {
    case ActivationFunction::identity:
      return {x, 1};
    case ActivationFunction::relu:
      return {x < 0 ? 0 : x, x > 0 ? Real{1} : Real{0}};
    case ActivationFunction::squared_relu:
      return {x < 0 ? 0 : x * x, x < 0 ? 0 : 2 * x};
    case ActivationFunction::leaky_relu: {
      const auto below = static_cast<Real>(negative_slope);
      return {x < 0 ? below * x : x, x > 0 ? Real{1} : below};
    }
    case ActivationFunction::sigmoid:
      return {sigmoid, sigmoid * (1 - sigmoid)};
    case ActivationFunction::silu:
      return {x * sigmoid, sigmoid * (1 + x * (1 - sigmoid))};
    case ActivationFunction::gelu: {
      const Real half = std::erfc(-x / std::numbers::sqrt2_v<Real>) / 2;
      const Real density = std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi_v<Real>);
      return {x * half, half + x * density};
    }
    case ActivationFunction::gelu_tanh: {
      const Real scale = std::sqrt(2 / std::numbers::pi_v<Real>), cubic = static_cast<Real>(0.044715);
      const Real tanh = std::tanh(scale * (x + cubic * x * x * x));
      const Real slope = (1 - tanh * tanh) * scale * (1 + 3 * cubic * x * x);
      return {x * (1 + tanh) / 2, (1 + tanh + x * slope) / 2};
    }
  }
  return {0, 0};
}

template <class Real, class Round>
struct Terms {
  const ActivationInputs& in;
  const Round& round;

  Real biased(std::span<const float> x, std::span<const float> bias, std::size_t i) const {
    const auto column = i % static_cast<std::size_t>(in.columns);
    return round(static_cast<Real>(x[i]) + (bias.empty() ? Real{0} : static_cast<Real>(bias[column])));
  }
  Real u(std::size_t i) const { return biased(in.x, in.bias, i); }
  Activated<Real> f(std::size_t i) const {
    const auto result = activate<Real>(in.function, in.gate.empty() ? u(i) : biased(in.gate, in.gate_bias, i),
                                       in.negative_slope);
    return {round(result.value), round(result.slope)};
  }
};

template <class Real, class Round>
std::vector<Real> forward(const ActivationInputs& in, const Round& round) {
  const Terms<Real, Round> terms{in, round};
  std::vector<Real> y(in.x.size());
  for (std::size_t i = 0; i < y.size(); ++i)
    y[i] = round(terms.f(i).value * (in.gate.empty() ? Real{1} : terms.u(i)));
  return y;
}

template <class Real, class Round>
ActivationGradients<Real> backward(const ActivationInputs& in, std::span<const float> dy,
                                   const Round& round) {
  const Terms<Real, Round> terms{in, round};
  const auto columns = static_cast<std::size_t>(in.columns);
  ActivationGradients<Real> gradients{std::vector<Real>(in.x.size()), std::vector<Real>(in.gate.size()),
                                      std::vector<Real>(columns), std::vector<Real>(columns)};
  for (std::size_t i = 0; i < in.x.size(); ++i) {
    const auto f = terms.f(i);
    const auto d = static_cast<Real>(dy[i]);
    gradients.dx[i] = round(d * (in.gate.empty() ? f.slope : f.value));
    gradients.dbias[i % columns] += gradients.dx[i];
    if (in.gate.empty()) continue;
    gradients.dgate[i] = round(round(d * terms.u(i)) * f.slope);
    gradients.dgate_bias[i % columns] += gradients.dgate[i];
  }
  for (Real& sum : gradients.dbias) sum = round(sum);
  for (Real& sum : gradients.dgate_bias) sum = round(sum);
  return gradients;
}

constexpr auto kExact = [](double x) { return x; };

}  // namespace

std::vector<double> activation(const ActivationInputs& inputs) {
  return forward<double>(inputs, kExact);
}

std::vector<float> naive_activation(const ActivationInputs& inputs, DType dtype) {
  return forward<float>(inputs, [=](float x) { return rounded(x, dtype); });
}

ActivationGradients<double> activation_backward(const ActivationInputs& inputs, std::span<const float> dy) {
  return backward<double>(inputs, dy, kExact);
}

ActivationGradients<float> naive_activation_backward(const ActivationInputs& inputs,
                                                     std::span<const float> dy, DType dtype) {
  return backward<float>(inputs, dy, [=](float x) { return rounded(x, dtype); });
}

}  // namespace sprue::reference
