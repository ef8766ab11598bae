// Barriers in shared memory that count threads and bytes (mbarrier, sm_90 and later), and the hardware's
// sixteen named barriers.
#pragma once

//% include "device/types.cuh"

namespace device {

// A barrier completes a phase when `arrivals` threads have arrived and all bytes announced have been copied;
// phases have parity 0, 1, 0, ... By one thread; fence_barrier_init() and a block barrier come before the
// first use.
__device__ __forceinline__ void init_barrier(u32 barrier, int arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}

// Makes this thread's init_barrier() calls visible to asynchronous copies.
__device__ __forceinline__ void fence_barrier_init() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

__device__ __forceinline__ void arrive(u32 barrier) {
  asm volatile("mbarrier.arrive.release.cta.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}

// Arrives and announces `bytes` of asynchronous copies that the phase has to wait for.
__device__ __forceinline__ void arrive_and_expect(u32 barrier, int bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes)
               : "memory");
}

// Waits until the phase of this parity is complete. A new barrier counts as having completed a phase of
// parity 1.
__device__ __forceinline__ void wait(u32 barrier, u32 parity) {
  asm volatile(
      "{\n"
      "  .reg .pred complete;\n"
      "again:\n"
      "  mbarrier.try_wait.parity.shared::cta.b64 complete, [%0], %1;\n"
      "  @!complete bra.uni again;\n"
      "}" ::"r"(barrier),
      "r"(parity)
      : "memory");
}

// Named barrier `id` of 1 to 15 (0 is __syncthreads()): waits for, or only announces to, `threads` threads in
// all. By whole warps.
__device__ __forceinline__ void named_sync(int id, int threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}
__device__ __forceinline__ void named_arrive(int id, int threads) {
  asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

// Position in a ring of kStages buffers and the parity of the lap.
template <int kStages>
struct Ring {
  int stage = 0;
  u32 parity = 0;

  __device__ __forceinline__ void advance() {
    if (kStages == 1) {
      parity ^= 1;
    } else if (++stage == kStages) {
      stage = 0;
      parity ^= 1;
    }
  }
};

}  // namespace device
