// Sums of exponentials over the threads that share a row, in a fixed order. Included by softmax_forward below
// its constants: uses kThreadsPerRow, kThreads, kCluster and kStages.
#pragma once

//% if CLUSTER > 1 && STAGES > 0
//% include "rows/exchange.cuh"
//% end

// Of some scores t: the largest, and the sum of 2^(t - base_of(max)).
struct Totals {
  float max = negative_infinity(), sum = 0.0f;
};

// The totals of what kLanes neighbouring lanes have, the same bits in every one of them. By all lanes of the
// warp.
template <int kLanes>
__device__ __forceinline__ Totals lane_totals(const Totals& mine) {
  Totals totals;
  totals.max = lane_max<kLanes>(mine.max);
  // __fmul_rn: a product fused into the first addition would differ between lanes.
  totals.sum = lane_sum<kLanes>(__fmul_rn(mine.sum, exp2_approx(mine.max - base_of(totals.max))));
  return totals;
}

// The totals of a row, the same bits in every thread. May be called again and again if kStages > 0, else
// once; a kernel with clusters ends with finish(). By all threads of the block.
struct RowTotals {
  int parity = 0;  // the buffers of a call are written again by the call after the next one
  //% if CLUSTER > 1 && STAGES > 0
  ClusterExchange<2> exchange;
  //% end

  __device__ __forceinline__ Totals operator()(Totals mine) {
    constexpr int kWarpsPerRow = ceil_div(kThreadsPerRow, 32);
    const int lane = threadIdx.x % 32;
    mine = lane_totals<(kThreadsPerRow < 32 ? kThreadsPerRow : 32)>(mine);
    if constexpr (kWarpsPerRow > 1) {
      __shared__ Totals warps[2][kThreads / 32];
      const int warp = threadIdx.x / 32;
      if (lane == 0) warps[parity][warp] = mine;
      __syncthreads();
      mine = warps[parity][warp / kWarpsPerRow * kWarpsPerRow + lane % kWarpsPerRow];
      mine = lane_totals<kWarpsPerRow>(mine);
    }
    parity ^= 1;
    //% if CLUSTER > 1 && STAGES > 0
    const auto& blocks = exchange({mine.max, mine.sum});
    mine = {blocks[lane % kCluster][0], blocks[lane % kCluster][1]};
    mine = lane_totals<kCluster>(mine);
    //% elif CLUSTER > 1
    __shared__ float block[2];
    if (threadIdx.x == 0) {
      block[0] = mine.max;
      block[1] = mine.sum;
    }
    cluster_arrive();
    cluster_wait();
    mine.max = load_remote(&block[0], lane % kCluster);
    mine.sum = load_remote(&block[1], lane % kCluster);
    mine = lane_totals<kCluster>(mine);
    cluster_arrive();
    //% end
    return mine;
  }

  // Until then the other blocks of a cluster may read this one's totals.
  __device__ __forceinline__ void finish() const {
    //% if CLUSTER > 1 && STAGES == 0
    cluster_wait();
    //% end
  }
};
