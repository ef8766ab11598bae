// Sums over the threads that share a row, for kernels that have the next rows copied meanwhile. Included
// below their constants: uses kThreads and kCluster.
#pragma once

//% if CLUSTER > 1
//% include "rows/exchange.cuh"
//% end

static_assert(kThreads > 32, "a block synchronises its threads in every call");

// Sums are in the order of RowSums, and the same in every thread of a row. By all threads, again and again.
template <int kCount>
struct StagedRowSums {
  int parity = 0;  // the buffers of a call are written again by the call after the next one
  //% if CLUSTER > 1
  ClusterExchange<kCount> exchange;
  //% end

  __device__ __forceinline__ void operator()(float (&x)[kCount]) {
    __shared__ float partial[2][kThreads / 32][kCount];
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      x[i] = lane_sum<32>(x[i]);
      if (threadIdx.x % 32 == 0) partial[parity][threadIdx.x / 32][i] = x[i];
    }
    __syncthreads();
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      x[i] = 0.0f;
#pragma unroll
      for (int w = 0; w < kThreads / 32; ++w) x[i] += partial[parity][w][i];
    }
    parity ^= 1;
    //% if CLUSTER > 1
    const auto& blocks = exchange(x);
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      x[i] = 0.0f;
#pragma unroll
      for (int rank = 0; rank < kCluster; ++rank) x[i] += blocks[rank][i];
    }
    //% end
  }
};
