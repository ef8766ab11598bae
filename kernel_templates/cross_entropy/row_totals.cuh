// Sums of exponentials over the threads that share a row, in a fixed order. Included by cross_entropy_forward
// below its constants: uses kThreads, kCluster, kPrecomputed and kSmoothing.
#pragma once

//% if CLUSTER > 1
//% include "rows/exchange.cuh"
//% end

// Of some t: the largest times log2(e), the sum of 2^(t * log2(e) - base_of(max)), and the sum of t.
struct Totals {
  float max = negative_infinity(), sum = 0.0f, logits = 0.0f;

  template <int kCount>
  __device__ __forceinline__ void add(const float (&t)[kCount]) {
    if constexpr (!kPrecomputed) {
      float largest = t[0];
#pragma unroll
      for (int i = 1; i < kCount; ++i) largest = fmaxf(largest, t[i]);
      largest = fmaxf(max, largest * kLog2E);
      const float base = base_of(largest);
      sum *= exp2_approx(max - base);
#pragma unroll
      for (int i = 0; i < kCount; ++i) sum += exp2_approx(fmaf(t[i], kLog2E, -base));
      max = largest;
    }
    if constexpr (kSmoothing) {
#pragma unroll
      for (int i = 0; i < kCount; ++i) logits += t[i];
    }
  }
};

// The totals of what a warp's lanes have, the same bits in every lane. By all lanes.
__device__ __forceinline__ Totals warp_totals(const Totals& mine) {
  Totals totals;
  if constexpr (!kPrecomputed) {
    totals.max = lane_max<32>(mine.max);
    // __fmul_rn: a product fused into the first addition would differ between lanes.
    totals.sum = lane_sum<32>(__fmul_rn(mine.sum, exp2_approx(mine.max - base_of(totals.max))));
  }
  if constexpr (kSmoothing) totals.logits = lane_sum<32>(mine.logits);
  return totals;
}

// The totals of a row, the same bits in every thread. Made when a row begins, and called once, by all threads that
// share it, which are synchronised.
struct RowTotals {
  //% if CLUSTER > 1
  ClusterExchange<3> exchange;
  //% end

  __device__ __forceinline__ Totals operator()(Totals mine) {
    constexpr int kWarps = kThreads / 32;
    const int lane = threadIdx.x % 32;
    mine = warp_totals(mine);
    if constexpr (kWarps > 1) {
      __shared__ float max[kWarps], sum[kWarps], logits[kWarps];
      if (lane == 0) {
        max[threadIdx.x / 32] = mine.max;
        sum[threadIdx.x / 32] = mine.sum;
        logits[threadIdx.x / 32] = mine.logits;
      }
      __syncthreads();
      mine = lane < kWarps ? Totals{max[lane], sum[lane], logits[lane]} : Totals{};
      mine = warp_totals(mine);
    } else {
      __syncwarp();
    }
    //% if CLUSTER > 1
    const auto& blocks = exchange({mine.max, mine.sum, mine.logits});
    mine = lane < kCluster ? Totals{blocks[lane][0], blocks[lane][1], blocks[lane][2]} : Totals{};
    mine = warp_totals(mine);
    //% end
    return mine;
  }
};
