// What the blocks of a cluster tell each other, row after row. Without a fence, which would wait for all the
// copies and stores that are under way. Included by kernels with clusters below their constants: uses
// kCluster.
#pragma once

//% include "device/cluster.cuh"
//% include "device/mbarrier.cuh"
//% include "device/shared.cuh"

// Made once, then tell() and hear() in turns, by all threads of all blocks. The first kSenders warps of each have
// values to tell; if that is not all of them, a block synchronises its threads between hear() and tell().
template <int kCount, int kSenders = 1>
struct ClusterExchange {
  using Values = float[kCluster * kSenders][kCount];

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
  // `mine` is the same in all lanes of a warp.
  __device__ __forceinline__ void tell(const float (&mine)[kCount]) {
    const int odd = calls & 1, warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const u32 barrier = barriers + 8 * odd;
    if (calls == 0) cluster_wait();  // the other blocks' barriers are ready
    if (threadIdx.x == 0) arrive_and_expect(barrier, sizeof(Values));
    if (warp < kSenders && lane < kCluster) {
      float* const target = values[odd][cluster_rank() * kSenders + warp];
#pragma unroll
      for (int i = 0; i < kCount; ++i) send_remote(target + i, barrier, lane, mine[i]);
    }
  }
  // What all senders told, by rank and warp. They send the values of the turn after the next one when they have all of
  // the next one, which are sent by those that have heard these.
  __device__ __forceinline__ const Values& hear() {
    const int odd = calls & 1, parity = calls >> 1 & 1;
    ++calls;
    wait(barriers + 8 * odd, parity);
    return values[odd];
  }
  __device__ __forceinline__ const Values& operator()(const float (&mine)[kCount]) {
    tell(mine);
    return hear();
  }
};
