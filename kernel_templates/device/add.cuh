// Additions to global memory.
#pragma once

//% include "device/types.cuh"

namespace device {

__device__ __forceinline__ void add_global(float* dst, float x) {
  asm volatile("red.global.add.f32 [%0], %1;" ::"l"(dst), "f"(x) : "memory");
}

// dst[0, 4) += x, each by itself; dst is 16-byte aligned (sm_90 and later).
__device__ __forceinline__ void add_global(float* dst, float4 x) {
  asm volatile("red.global.add.v4.f32 [%0], {%1, %2, %3, %4};" ::"l"(dst), "f"(x.x), "f"(x.y), "f"(x.z),
               "f"(x.w)
               : "memory");
}

}  // namespace device
