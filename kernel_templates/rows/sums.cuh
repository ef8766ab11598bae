// Sums and largest values over the threads that share a row. Included by kernels below their constants: uses kThreads,
// kThreadsPerRow and kCluster.
#pragma once

// How values are put together; 0 changes nothing.
struct Sum {
  static __device__ __forceinline__ float of(float a, float b) { return a + b; }
  static __device__ __forceinline__ float of_lanes(float x) { return lane_sum<(kThreadsPerRow < 32 ? kThreadsPerRow : 32)>(x); }
};
struct Largest {
  static __device__ __forceinline__ float of(float a, float b) { return fmaxf(a, b); }
  static __device__ __forceinline__ float of_lanes(float x) { return lane_max<(kThreadsPerRow < 32 ? kThreadsPerRow : 32)>(x); }
};

// Sums are in a fixed order and the same in every thread of a row. May be called again and again, also for
// other counts of values; a kernel with clusters ends with finish(). By all threads of the block.
struct RowSums {
  int parity = 0;  // the buffers of a call are written again by the call after the next one

  template <class How, int kCount>
  __device__ __forceinline__ void combine(float (&x)[kCount]) {
    constexpr int kWarps = kThreads / 32, kWarpsPerRow = ceil_div(kThreadsPerRow, 32);
#pragma unroll
    for (int i = 0; i < kCount; ++i) x[i] = How::of_lanes(x[i]);
    if constexpr (kWarpsPerRow > 1) {
      __shared__ float partial[2][kWarps][kCount];
      const int warp = threadIdx.x / 32;
      if (threadIdx.x % 32 == 0) {
#pragma unroll
        for (int i = 0; i < kCount; ++i) partial[parity][warp][i] = x[i];
      }
      __syncthreads();
#pragma unroll
      for (int i = 0; i < kCount; ++i) {
        x[i] = 0.0f;
#pragma unroll
        for (int w = 0; w < kWarpsPerRow; ++w)
          x[i] = How::of(x[i], partial[parity][warp / kWarpsPerRow * kWarpsPerRow + w][i]);
      }
    }
    //% if CLUSTER > 1
    __shared__ float block_sums[2][kCount];
    if (threadIdx.x == 0) {
#pragma unroll
      for (int i = 0; i < kCount; ++i) block_sums[parity][i] = x[i];
    }
    cluster_arrive();
    cluster_wait();
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      x[i] = 0.0f;
#pragma unroll
      for (int rank = 0; rank < kCluster; ++rank) x[i] = How::of(x[i], load_remote(&block_sums[parity][i], rank));
    }
    //% end
    parity ^= 1;
  }

  template <int kCount>
  __device__ __forceinline__ void operator()(float (&x)[kCount]) {
    combine<Sum>(x);
  }
  __device__ __forceinline__ float operator()(float x) {
    float values[1] = {x};
    (*this)(values);
    return values[0];
  }

  // Of values that are not negative.
  template <int kCount>
  __device__ __forceinline__ void largest(float (&x)[kCount]) {
    combine<Largest>(x);
  }

  // Until then the other blocks of a cluster may read this one's sums.
  __device__ __forceinline__ void finish() const {
    //% if CLUSTER > 1
    cluster_arrive();
    cluster_wait();
    //% end
  }
};
