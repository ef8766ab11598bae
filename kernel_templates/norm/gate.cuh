// silu(x) = x / (1 + exp(-x)) of gates, and its slope. Included by a kernel of the norm family below
// row_vectors.cuh.
#pragma once

__device__ __forceinline__ float sigmoid(float x) {
  return __fdividef(1.0f, 1.0f + exp2_approx(-kLog2E * x));
}

__device__ __forceinline__ Values silu(const Values& gate) {
  Values y;
#pragma unroll
  for (int e = 0; e < kVec; ++e) y.at[e] = gate.at[e] * sigmoid(gate.at[e]);
  return y;
}

__device__ __forceinline__ Values silu_slope(const Values& gate) {
  Values slope;
#pragma unroll
  for (int e = 0; e < kVec; ++e) {
    const float s = sigmoid(gate.at[e]);
    slope.at[e] = s * fmaf(gate.at[e], 1.0f - s, 1.0f);
  }
  return slope;
}
