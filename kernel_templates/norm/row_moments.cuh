// Moments of a row, put together from those of its columns, so that the threads that share it tell each other of
// it once. Included by kernels of the norm family below their constants: uses kCentred, kHasDn, kThreadsPerRow,
// kThreads, kCluster and those of rows/vectors.cuh.
//
// Chan, Golub & LeVeque 1983, doi:10.1080/00031305.1983.10483115: as accurate as two passes, whatever the mean.
#pragma once

//% if CLUSTER > 1
//% include "rows/exchange.cuh"
static_assert(kThreadsPerRow > 32, "a block synchronises its threads in every call");
//% end

// Whether all threads of a row have as many vectors of it.
constexpr bool kEvenShares = kVecs % kLanes == 0;

// Of some columns of t, and of dn if kHasDn: how many, the mean of t (0 unless kCentred), and the sums of
// (t - mean)^2, of dn and of (t - mean) * dn.
struct Moments {
  float count = 0.0f, mean = 0.0f, squares = 0.0f, dn = 0.0f, products = 0.0f;
};

// The moments of a thread's vectors of a row.
struct ThreadMoments {
  float base = 0.0f;  // the mean of the first vector
  float sum = 0.0f, squares = 0.0f, dn = 0.0f, products = 0.0f;  // with t - base in the place of t - mean

  // In the order of i, where there is an i-th vector.
  __device__ __forceinline__ void add(int i, const Values& t, const Values& values = {}) {
    if (kCentred && i == 0) {
#pragma unroll
      for (int e = 0; e < kVec; ++e) base += t.at[e] * (1.0f / kVec);
    }
#pragma unroll
    for (int e = 0; e < kVec; ++e) {
      const float difference = t.at[e] - base;
      squares = fmaf(difference, difference, squares);
      if constexpr (kCentred) sum += difference;
      if constexpr (kHasDn) products = fmaf(difference, values.at[e], products);
      if constexpr (kHasDn && kCentred) dn += values.at[e];
    }
  }
  // Little is lost when the sums are moved to the mean: base differs from it by sqrt(squares / kVec) at most.
  __device__ __forceinline__ Moments moments(int lane, bool is_there) const {
    if constexpr (!kCentred) return {0.0f, 0.0f, squares, 0.0f, products};
    const float count = is_there ? kVec * (kVecs / kLanes + (lane < kVecs % kLanes ? 1 : 0)) : 0;
    const float from_base = kEvenShares ? sum * (1.0f / (kVec * kVecsPerThread)) : sum / fmaxf(count, 1.0f);
    return {count, base + from_base, fmaxf(fmaf(-sum, from_base, squares), 0.0f), dn,
            fmaf(-from_base, dn, products)};
  }
};

// The moments of what kCount neighbouring lanes have, the same bits in every one of them. By all lanes of the warp.
template <int kCount>
__device__ __forceinline__ Moments lane_moments(const Moments& mine) {
  Moments all;
  if constexpr (kCentred && kEvenShares) {
    all.count = mine.count * kCount;
    all.mean = lane_sum<kCount>(mine.mean) * (1.0f / kCount);
  } else if constexpr (kCentred) {
    all.count = lane_sum<kCount>(mine.count);
    // __fmul_rn: a product fused into the first addition would differ between lanes.
    all.mean = lane_sum<kCount>(__fmul_rn(mine.count, mine.mean)) / fmaxf(all.count, 1.0f);
  }
  if constexpr (kCentred && kHasDn) all.dn = lane_sum<kCount>(mine.dn);
  const float difference = mine.mean - all.mean;
  all.squares = lane_sum<kCount>(fmaf(mine.count * difference, difference, mine.squares));
  if constexpr (kHasDn) all.products = lane_sum<kCount>(fmaf(difference, mine.dn, mine.products));
  return all;
}

// The moments of a row, the same bits in every thread. May be called again and again. By all threads of the block.
struct RowMoments {
  int parity = 0;  // the buffers of a call are written again by the call after the next one
  //% if CLUSTER > 1
  ClusterExchange<5> exchange;
  //% end

  __device__ __forceinline__ Moments operator()(Moments mine) {
    constexpr int kWarpsPerRow = ceil_div(kThreadsPerRow, 32);
    const int lane = threadIdx.x % 32;
    mine = lane_moments<(kThreadsPerRow < 32 ? kThreadsPerRow : 32)>(mine);
    if constexpr (kWarpsPerRow > 1) {
      __shared__ Moments warps[2][kThreads / 32];
      const int warp = threadIdx.x / 32;
      if (lane == 0) warps[parity][warp] = mine;
      __syncthreads();
      mine = lane_moments<kWarpsPerRow>(warps[parity][warp / kWarpsPerRow * kWarpsPerRow + lane % kWarpsPerRow]);
    }
    parity ^= 1;
    //% if CLUSTER > 1
    const auto& blocks = exchange({mine.count, mine.mean, mine.squares, mine.dn, mine.products});
    const auto& block = blocks[lane % kCluster];
    mine = lane_moments<kCluster>({block[0], block[1], block[2], block[3], block[4]});
    //% end
    return mine;
  }
};
