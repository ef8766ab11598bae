// Reductions across lanes and warps.
#pragma once

//% include "device/types.cuh"

namespace device {

__device__ __forceinline__ float quad_max(float x) {
  x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 1));
  return fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 2));
}

__device__ __forceinline__ float quad_sum(float x) {
  x += __shfl_xor_sync(0xffffffffu, x, 1);
  return x + __shfl_xor_sync(0xffffffffu, x, 2);
}

// The sum over kLanes neighbouring lanes (a power of two), in every one of them and in a fixed order.
template <int kLanes>
__device__ __forceinline__ float lane_sum(float x) {
#pragma unroll
  for (int step = kLanes / 2; step > 0; step /= 2) x += __shfl_xor_sync(0xffffffffu, x, step);
  return x;
}

// The same of the maximum.
template <int kLanes>
__device__ __forceinline__ float lane_max(float x) {
#pragma unroll
  for (int step = kLanes / 2; step > 0; step /= 2) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, step));
  return x;
}

// What exponents are taken relative to: the largest, unless there is none above -inf.
__device__ __forceinline__ float base_of(float max) {
  return max == negative_infinity() ? 0.0f : max;
}

}  // namespace device
