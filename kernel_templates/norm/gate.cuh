// silu(x) = x / (1 + exp(-x)) of gates, and its slope. Included by a kernel of the norm family below rows/vectors.cuh.
#pragma once

//% include "device/activation.cuh"

__device__ __forceinline__ Values silu(const Values& gate) {
  Values y;
#pragma unroll
  for (int e = 0; e < kVec; ++e) y.at[e] = activate<Function::silu>(gate.at[e], 0.0f).value;
  return y;
}

__device__ __forceinline__ Values silu_slope(const Values& gate) {
  Values slope;
#pragma unroll
  for (int e = 0; e < kVec; ++e) slope.at[e] = activate<Function::silu>(gate.at[e], 0.0f).slope;
  return slope;
}
