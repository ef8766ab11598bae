// Activation functions, alone and as gates. sprue/ops.h says what holds for all operators.
#pragma once

#include <cstdint>

#include "sprue/runtime.h"
#include "sprue/tensor.h"

namespace sprue {

enum class ActivationFunction : std::uint8_t {
  identity,      ///< x
  relu,          ///< max(x, 0)
  squared_relu,  ///< max(x, 0)^2; So et al. 2021, arXiv:2109.08668
  leaky_relu,    ///< x, or negative_slope * x below 0
  sigmoid,       ///< 1 / (1 + exp(-x))
  silu,          ///< x / (1 + exp(-x))
  gelu,          ///< x * (1 + erf(x / sqrt(2))) / 2; Hendrycks & Gimpel 2016, arXiv:1606.08415
  gelu_tanh,     ///< x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))) / 2
};

/// y[..., c] = f(x[..., c] + bias[c]), or with a gate
/// y[..., c] = f(gate[..., c] + gate_bias[c]) * (x[..., c] + bias[c])
///
/// With a gate, silu makes SwiGLU of it, gelu GeGLU, relu ReGLU, sigmoid GLU, identity the bilinear one:
/// Shazeer 2020, arXiv:2002.05202. Halves of one tensor [..., 2 * columns] are two views of it, whichever of
/// them is the gate. Computed in f32. The number of columns is an argument of the kernel. Rows may have any
/// stride; the last dimension is contiguous.
struct Activation {
  Tensor y;       ///< [..., columns], dtype of x; may be x or gate, must not overlap them otherwise.
  ConstTensor x;  ///< [..., columns], f32 | f16 | bf16.
  ActivationFunction function = ActivationFunction::silu;
  ConstTensor gate = {};         ///< Shape and dtype of x.
  ConstTensor bias = {};         ///< [columns], f32 | f16 | bf16.
  ConstTensor gate_bias = {};    ///< [columns], dtype of bias if both are given; only with a gate.
  float negative_slope = 0.01f;  ///< Of leaky_relu.
};
SPRUE_API void activation(Runtime& runtime, const Activation& args, Stream stream = nullptr);
SPRUE_API KernelInfo prepare(Runtime& runtime, const Activation& args);

/// The gradients of activation. With u = x + bias and g = gate + gate_bias:
///
///   dx = dy * f'(u),   or with a gate   dx = dy * f(g),   dgate = dy * u * f'(g)
///   dbias = sum over rows of dx,   dgate_bias = sum over rows of dgate, before they are rounded
///
/// The derivative of relu and of leaky_relu at 0 is that below 0. All results have the same bits in every
/// repetition; sums over rows take scratch memory from the allocator of the runtime's options.
struct ActivationBackward {
  Tensor dx;       ///< [..., columns], dtype of dy; may be dy, x or gate.
  ConstTensor dy;  ///< [..., columns], f32 | f16 | bf16.
  ConstTensor x;   ///< Shape and dtype of dy, as gate; both and the biases as in the forward call.
  ActivationFunction function = ActivationFunction::silu;
  Tensor dgate = {};  ///< Shape and dtype of dy; may be dy, x or gate; given if and only if there is a gate.
  ConstTensor gate = {};
  ConstTensor bias = {};
  ConstTensor gate_bias = {};
  Tensor dbias = {};  ///< [columns], f32 | f16 | bf16, contiguous; wanted or not, with a bias or without.
  Tensor dgate_bias = {};  ///< [columns], dtype of dbias if both are given, contiguous; only with a gate.
  float negative_slope = 0.01f;
};
SPRUE_API void activation_backward(Runtime& runtime, const ActivationBackward& args, Stream stream = nullptr);
SPRUE_API KernelInfo prepare(Runtime& runtime, const ActivationBackward& args);

}  // namespace sprue
