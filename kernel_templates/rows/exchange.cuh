// What the blocks of a cluster tell each other, row after row. Without a fence, which would wait for all the
// copies and stores that are under way. Included by kernels with clusters below their constants: uses
// kCluster.
#pragma once

//% include "device/cluster.cuh"
//% include "device/mbarrier.cuh"
//% include "device/shared.cuh"

// Made once, and called again and again, by all threads of all blocks; each block synchronises its threads
// between two calls.
template <int kCount>
struct ClusterExchange {
  using Values = float[kCluster][kCount];

  Values* values;  // of even and of odd calls
  u32 barriers;    // theirs
  int calls = 0;

  __device__ __forceinline__ ClusterExchange() {
    __shared__ Values shared_values[2];
    __shared__ u64 shared_barriers[2];
    values = shared_values;
    barriers = shared_address(shared_barriers);
    if (threadIdx.x == 0) {
      init_barrier(barriers, 1);
      init_barrier(barriers + 8, 1);
      fence_barrier_init();
    }
    cluster_arrive();
  }
  // What the blocks have, by rank; `mine` is the same in all threads. The other blocks send the values of the
  // call after the next one when they have this block's of the next one.
  __device__ __forceinline__ const Values& operator()(const float (&mine)[kCount]) {
    const int odd = calls & 1, parity = calls >> 1 & 1;
    const u32 barrier = barriers + 8 * odd;
    if (calls++ == 0) cluster_wait();  // the other blocks' barriers are ready
    if (threadIdx.x == 0) arrive_and_expect(barrier, sizeof(Values));
    if (threadIdx.x < kCluster) {
#pragma unroll
      for (int i = 0; i < kCount; ++i)
        send_remote(&values[odd][cluster_rank()][i], barrier, threadIdx.x, mine[i]);
    }
    wait(barrier, parity);
    return values[odd];
  }
};
