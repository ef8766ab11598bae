// Activation functions and their derivatives, of one f32.
#pragma once

//% include "device/types.cuh"

namespace device {

enum class Function { identity, relu, squared_relu, leaky_relu, sigmoid, silu, gelu, gelu_tanh };

// A function's value and derivative.
struct Activated {
  float value, slope;
};

__device__ __forceinline__ float sigmoid_of(float x) {
  return __fdividef(1.0f, 1.0f + exp2_approx(x * -kLog2E));
}

// `negative_slope` is that of leaky_relu. What is not used of the result costs nothing.
template <Function kFunction>
__device__ __forceinline__ Activated activate(float x, float negative_slope) {
  if constexpr (kFunction == Function::identity) return {x, 1.0f};
  if constexpr (kFunction == Function::relu) return {x < 0.0f ? 0.0f : x, x > 0.0f ? 1.0f : 0.0f};
  if constexpr (kFunction == Function::squared_relu) {
    const float positive = x < 0.0f ? 0.0f : x;
    return {positive * positive, 2.0f * positive};
  }
  if constexpr (kFunction == Function::leaky_relu)
    return {x < 0.0f ? negative_slope * x : x, x > 0.0f ? 1.0f : negative_slope};
  if constexpr (kFunction == Function::sigmoid) {
    const float s = sigmoid_of(x);
    return {s, s * (1.0f - s)};
  }
  if constexpr (kFunction == Function::silu) {
    const float s = sigmoid_of(x);
    return {x * s, s * fmaf(x, 1.0f - s, 1.0f)};
  }
  // Beyond 20 both kinds of gelu are 0 or x; what decays is computed of an x that does not overflow.
  const float near = x < -20.0f ? -20.0f : x > 20.0f ? 20.0f : x;
  if constexpr (kFunction == Function::gelu) {
    // erfc(z) = p(t) exp(-z^2) with t = 1 / (1 + 0.3275911 z), to 1.5e-7: Abramowitz & Stegun 1964, 7.1.26.
    constexpr float kInverseSqrt2 = 0.70710678f, kInverseSqrt2Pi = 0.39894228f;
    const float t = __fdividef(1.0f, fmaf(0.3275911f * kInverseSqrt2, fabsf(near), 1.0f));
    const float p = fmaf(fmaf(fmaf(fmaf(1.061405429f, t, -1.453152027f), t, 1.421413741f), t, -0.284496736f),
                         t, 0.254829592f);
    const float power = exp2_approx(near * near * (-0.5f * kLog2E)), tail = 0.5f * p * t * power;
    const float half = near < 0.0f ? tail : 1.0f - tail;
    return {x * half, fmaf(near, kInverseSqrt2Pi * power, half)};
  } else {
    constexpr float kScale = 0.79788456f, kCubic = 0.044715f;  // sqrt(2 / pi)
    const float square = near * near, inner = kScale * near * fmaf(kCubic, square, 1.0f);
    const float half = sigmoid_of(2.0f * inner);  // (1 + tanh(inner)) / 2
    const float inner_slope = kScale * fmaf(3.0f * kCubic, square, 1.0f);
    return {x * half, fmaf(2.0f * near * half * (1.0f - half), inner_slope, half)};
  }
}

}  // namespace device
