// Asynchronous copies from global to shared memory (cp.async, sm_80 and later). Each thread waits for its own
// copies; a __syncthreads() after the wait makes them visible to the block.
#pragma once

//% include "device/shared.cuh"

namespace device {

// Copies kBytes (16, 8, 4 or 2) to `dst`, or zeros if `valid` is false: then src is not read. 2-byte copies
// are ordinary ones.
template <int kBytes>
__device__ __forceinline__ void copy_async(u32 dst, const void* src, bool valid) {
  if constexpr (kBytes == 16) {
    asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"(dst), "l"(src),
                 "r"(valid ? 16 : 0));
  } else if constexpr (kBytes == 2) {
    const u16 value = valid ? *static_cast<const u16*>(src) : u16{0};
    asm volatile("st.shared.u16 [%0], %1;" ::"r"(dst), "h"(value) : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(dst), "l"(src), "n"(kBytes),
                 "r"(valid ? kBytes : 0));
  }
}

// Copies 16 bytes if `wanted`, else does nothing.
__device__ __forceinline__ void copy_async_if(u32 dst, const void* src, bool wanted) {
  asm volatile(
      "{\n"
      ".reg .pred wanted;\n"
      "setp.ne.b32 wanted, %2, 0;\n"
      "@wanted cp.async.cg.shared.global.L2::128B [%0], [%1], 16;\n"
      "}" ::"r"(dst),
      "l"(src), "r"(static_cast<int>(wanted)));
}

// Closes the group of copies this thread has issued since the last commit.
__device__ __forceinline__ void commit_copies() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}

// Waits until at most kPending of this thread's groups are unfinished.
template <int kPending>
__device__ __forceinline__ void wait_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

}  // namespace device
