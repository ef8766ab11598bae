// Sums of exponentials over the threads that share a row. Included by cross_entropy_forward below its constants:
// uses kThreads, kCluster, kPrecomputed and kSmoothing.
#pragma once

__device__ __forceinline__ float warp_max(float x) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, step));
  return x;
}

// What exponents are taken relative to: the largest, unless there is none above -inf.
__device__ __forceinline__ float base_of(float max) {
  return max == negative_infinity() ? 0.0f : max;
}

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

// The totals of parts in their order.
template <int kCount>
__device__ __forceinline__ Totals totals_of(const Totals (&parts)[kCount]) {
  Totals totals;
#pragma unroll
  for (int i = 0; i < kCount; ++i) totals.max = fmaxf(totals.max, parts[i].max);
  const float base = base_of(totals.max);
#pragma unroll 4
  for (int i = 0; i < kCount; ++i) {
    totals.sum = fmaf(parts[i].sum, exp2_approx(parts[i].max - base), totals.sum);
    totals.logits += parts[i].logits;
  }
  return totals;
}

// The totals of a row, the same bits in every thread. Synchronises the threads that share the row, all of which
// call it once; where they are a cluster they then call finish_row_totals() before they end.
__device__ __forceinline__ Totals row_totals(Totals mine) {
  constexpr int kWarps = kThreads / 32;
  __shared__ Totals warps[kWarps];
  const float max = warp_max(mine.max);
  mine.sum = lane_sum<32>(mine.sum * exp2_approx(mine.max - base_of(max)));
  mine.logits = lane_sum<32>(mine.logits);
  mine.max = max;
  if constexpr (kWarps > 1) {
    if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = mine;
    __syncthreads();
    mine = totals_of(warps);
  } else {
    __syncwarp();
  }
  //% if CLUSTER > 1
  __shared__ Totals block;
  if (threadIdx.x == 0) block = mine;
  cluster_arrive();
  cluster_wait();
  Totals blocks[kCluster];
#pragma unroll
  for (int rank = 0; rank < kCluster; ++rank)
    blocks[rank] = {load_remote(&block.max, rank), load_remote(&block.sum, rank),
                    load_remote(&block.logits, rank)};
  mine = totals_of(blocks);
  cluster_arrive();
  //% end
  return mine;
}

__device__ __forceinline__ void finish_row_totals() {
  //% if CLUSTER > 1
  cluster_wait();
  //% end
}
