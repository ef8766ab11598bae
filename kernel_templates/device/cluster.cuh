// Thread block clusters (sm_90 and later): blocks that run together and can read each other's shared memory.
#pragma once

//% include "device/types.cuh"

namespace device {

// This block's place in its cluster.
__device__ __forceinline__ u32 cluster_rank() {
  u32 rank;
  asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}

// Announces that this thread's earlier writes may be read; every thread of the cluster calls it once before
// each wait.
__device__ __forceinline__ void cluster_arrive() {
  asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory");
}

// Waits until every thread of the cluster has arrived.
__device__ __forceinline__ void cluster_wait() {
  asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
}

// *p as the block of that rank holds it; p is in shared memory. That block must not have ended.
__device__ __forceinline__ float load_remote(const float* p, u32 rank) {
  float x;
  asm volatile(
      "{\n"
      "  .reg .u32 address;\n"
      "  mapa.shared::cluster.u32 address, %1, %2;\n"
      "  ld.shared::cluster.f32 %0, [address];\n"
      "}"
      : "=f"(x)
      : "r"(static_cast<u32>(__cvta_generic_to_shared(p))), "r"(rank)
      : "memory");
  return x;
}

// Writes x to *p, and announces its 4 bytes to the barrier, both in the block of that rank; p and barrier are
// where this block has them in shared memory. Waits for nothing, and is ordered with nothing but waits for
// the barrier.
__device__ __forceinline__ void send_remote(const float* p, u32 barrier, u32 rank, float x) {
  asm volatile(
      "{\n"
      "  .reg .u32 address, barrier;\n"
      "  mapa.shared::cluster.u32 address, %0, %2;\n"
      "  mapa.shared::cluster.u32 barrier, %1, %2;\n"
      "  st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.f32 [address], %3, [barrier];\n"
      "}" ::"r"(static_cast<u32>(__cvta_generic_to_shared(p))),
      "r"(barrier), "r"(rank), "f"(x)
      : "memory");
}

}  // namespace device
