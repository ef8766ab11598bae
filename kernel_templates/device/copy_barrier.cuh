// Barriers in shared memory that wait for cp.async of many threads (mbarrier, sm_80 and later): a thread that waits
// for the copies of all others need not wait for whatever else they do.
#pragma once

//% include "device/types.cuh"

namespace device {

// For `arrivals` threads, which tell that others may overwrite what they, or their warps, have read. By one thread,
// before a block barrier.
__device__ __forceinline__ void init_read_barrier(u32 barrier, int arrivals) {
  asm volatile("mbarrier.init.shared.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}

__device__ __forceinline__ void arrive_read(u32 barrier) {
  asm volatile(
      "{\n"
      "  .reg .b64 state;\n"
      "  mbarrier.arrive.shared.b64 state, [%0];\n"
      "}" ::"r"(barrier)
      : "memory");
}

// For `threads` threads, which all call arrive_copied() once in every phase; phases have parity 0, 1, 0, ... By one
// thread, before a block barrier.
__device__ __forceinline__ void init_copy_barrier(u32 barrier, int threads) {
  init_read_barrier(barrier, 2 * threads);
}

// Arrives for what this thread has stored, and again when its copies are done.
__device__ __forceinline__ void arrive_copied(u32 barrier) {
  asm volatile("cp.async.mbarrier.arrive.noinc.shared.b64 [%0];" ::"r"(barrier) : "memory");
  arrive_read(barrier);
}

// Waits until the phase of this parity is complete, of either barrier. A new barrier counts as having completed a
// phase of parity 1.
__device__ __forceinline__ void wait_copied(u32 barrier, u32 parity) {
  asm volatile(
      "{\n"
      "  .reg .pred complete;\n"
      "again:\n"
#if __CUDA_ARCH__ >= 900
      "  mbarrier.try_wait.parity.shared.b64 complete, [%0], %1;\n"
#else
      "  mbarrier.test_wait.parity.shared.b64 complete, [%0], %1;\n"
#endif
      "  @!complete bra.uni again;\n"
      "}" ::"r"(barrier),
      "r"(parity)
      : "memory");
}

}  // namespace device
