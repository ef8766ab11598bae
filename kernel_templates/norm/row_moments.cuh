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

// The moments of what kCount neighbouring lanes have, kEach parts in each, the same bits in every one of them. By all
// lanes of the warp.
template <int kCount, int kEach = 1>
__device__ __forceinline__ Moments lane_moments(const Moments (&mine)[kEach]) {
  float means = 0.0f, squares = 0.0f, products = 0.0f;
  Moments all;
#pragma unroll
  for (int i = 0; i < kEach; ++i) {
    // __fmul_rn: a product fused into an addition would differ between lanes.
    means += kEvenShares ? mine[i].mean : __fmul_rn(mine[i].count, mine[i].mean);
    all.count += mine[i].count;
    all.dn += mine[i].dn;
  }
  if constexpr (kCentred) {
    all.count = kEvenShares ? all.count * kCount : lane_sum<kCount>(all.count);
    const float sum = lane_sum<kCount>(means);
    all.mean = kEvenShares ? sum * (1.0f / (kCount * kEach)) : sum / fmaxf(all.count, 1.0f);
    if constexpr (kHasDn) all.dn = lane_sum<kCount>(all.dn);
  }
#pragma unroll
  for (int i = 0; i < kEach; ++i) {
    const float difference = mine[i].mean - all.mean;
    squares += fmaf(mine[i].count * difference, difference, mine[i].squares);
    products += fmaf(difference, mine[i].dn, mine[i].products);
  }
  all.squares = lane_sum<kCount>(squares);
  if constexpr (kHasDn) all.products = lane_sum<kCount>(products);
  return all;
}

// The moments of a row, the same bits in every thread: each tells its own, and hears them later; meanwhile it may do
// what needs neither. In turns, for one row after the other, by all threads of the block.
struct RowMoments {
  static constexpr int kWarpsPerRow = ceil_div(kThreadsPerRow, 32);
  //% if CLUSTER > 1
  ClusterExchange<5, kWarpsPerRow> exchange;
  //% else
  int parity = 0;  // the buffers of a turn are written again by the turn after the next one
  Moments warp_moments;
  //% end

  __device__ __forceinline__ void tell(const Moments& mine) {
    const Moments of_warp = lane_moments<(kThreadsPerRow < 32 ? kThreadsPerRow : 32)>({mine});
    //% if CLUSTER > 1
    exchange.tell({of_warp.count, of_warp.mean, of_warp.squares, of_warp.dn, of_warp.products});
    //% else
    warp_moments = of_warp;
    if constexpr (kWarpsPerRow > 1) {
      if (threadIdx.x % 32 == 0) buffers()[parity][threadIdx.x / 32] = of_warp;
    }
    //% end
  }
  __device__ __forceinline__ Moments hear() {
    const int lane = threadIdx.x % 32;
    //% if CLUSTER > 1
    constexpr int kParts = kCluster * kWarpsPerRow, kLanesWithParts = kParts < 32 ? kParts : 32;
    const auto& parts = exchange.hear();
    Moments mine[kParts / kLanesWithParts];
#pragma unroll
    for (int i = 0; i < kParts / kLanesWithParts; ++i) {
      const auto& part = parts[i * kLanesWithParts + lane % kLanesWithParts];
      mine[i] = {part[0], part[1], part[2], part[3], part[4]};
    }
    return lane_moments<kLanesWithParts>(mine);
    //% else
    if constexpr (kWarpsPerRow == 1) return warp_moments;
    __syncthreads();
    const Moments* const warps = buffers()[parity] + threadIdx.x / 32 / kWarpsPerRow * kWarpsPerRow;
    parity ^= 1;
    return lane_moments<kWarpsPerRow>({warps[lane % kWarpsPerRow]});
    //% end
  }
  __device__ __forceinline__ Moments operator()(const Moments& mine) {
    tell(mine);
    return hear();
  }
  //% if CLUSTER == 1

 private:
  using Buffers = Moments[2][ceil_div(kThreads, 32)];
  static __device__ __forceinline__ Buffers& buffers() {
    __shared__ Buffers buffers;
    return buffers;
  }
  //% end
};
