// Marks in global memory, by which blocks tell others how far they have come. Included by a kernel.
#pragma once

__device__ __forceinline__ u32 read_mark(const u32* mark) {
  u32 value;
  asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(value) : "l"(mark) : "memory");
  return value;
}
__device__ __forceinline__ void wait_for_mark(const u32* mark, u32 value) {
  while (read_mark(mark) != value) {
  }
}
__device__ __forceinline__ void leave_mark(u32* mark, u32 value) {
  asm volatile("st.release.gpu.global.u32 [%0], %1;" ::"l"(mark), "r"(value) : "memory");
}
