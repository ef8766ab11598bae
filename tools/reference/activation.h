// Activation functions on the CPU: in double precision, and as a first attempt in low precision computes
// them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sprue/ops/activation.h"

namespace sprue::reference {

/// As in sprue::Activation; x and gate are [rows, columns], biases [columns]; empty where not given.
struct ActivationInputs {
  std::int64_t columns = 0;
  std::span<const float> x = {}, gate = {}, bias = {}, gate_bias = {};
  ActivationFunction function = ActivationFunction::silu;
  float negative_slope = 0.01f;
};
std::vector<double> activation(const ActivationInputs& inputs);
/// Rounded to `dtype` after every step.
std::vector<float> naive_activation(const ActivationInputs& inputs, DType dtype);

template <class Real>
struct ActivationGradients {
  std::vector<Real> dx, dgate, dbias, dgate_bias;
};
ActivationGradients<double> activation_backward(const ActivationInputs& inputs, std::span<const float> dy);
ActivationGradients<float> naive_activation_backward(const ActivationInputs& inputs,
                                                     std::span<const float> dy, DType dtype);

}  // namespace sprue::reference
