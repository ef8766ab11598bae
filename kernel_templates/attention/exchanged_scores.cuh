// P and ds through shared memory, from the warps that compute them to those that multiply them. Included by
// attention_backward_fused after products_portable.cuh: uses its constants. By all lanes of a warp.
#pragma once

// A warp's P or ds, its keys by its queries, to and from a tile of all keys by all queries. `first` is the warp's first
// element of it.
__device__ __forceinline__ void store_scores(scalar* first, const u32 (&packed)[kRowTiles][kScores / 2]) {
#pragma unroll
  for (int t = 0; t < kRowTiles; ++t) {
#if __CUDA_ARCH__ >= 900
#pragma unroll
    for (int step = 0; step < kWarpQueries / 16; ++step)
      store_matrices(left_lane(first, kPitchS, 16 * t) + 2 * 16 * step, packed[t] + 4 * step);
#else
#pragma unroll
    for (int i = 0; i < kScores / 2; ++i)
      *reinterpret_cast<u32*>(first + (16 * t + i % 2 * 8 + threadIdx.x % 32 / 4) * kPitchS + i / 2 * 8 +
                              threadIdx.x % 4 * 2) = packed[t][i];
#endif
  }
}
__device__ __forceinline__ void load_scores(u32 (&packed)[kRowTiles][kScores / 2], u32 lane_address) {
#pragma unroll
  for (int t = 0; t < kRowTiles; ++t) {
#pragma unroll
    for (int step = 0; step < kWarpQueries / 16; ++step)
      load_matrix_x4(reinterpret_cast<u32(&)[4]>(packed[t][4 * step]),
                     lane_address + 2 * (16 * t * kPitchS + 16 * step));
  }
}

// The first of a warp's kOwn columns of kAll: not its own where they would reach beyond the last.
template <int kAll, int kOwn, int kWarps>
__device__ __forceinline__ int first_of(int own) {
  return kOwn * kWarps == kAll ? own : min(own, kAll - kOwn);
}

// dq = ds k, the warp's queries and 8 * kTiles columns.
template <int kTiles>
__device__ __forceinline__ void multiply_gradients(float (&dq)[kQueryTiles][kTiles][4], u32 ds_lane, u32 k_lane) {
#pragma unroll
  for (int step = 0; step < kBlockN / 16; ++step) {
    u32 a[kQueryTiles][4];
#pragma unroll
    for (int t = 0; t < kQueryTiles; ++t)
      load_matrix_x4_transposed(a[t], ds_lane + 2 * (16 * step * kPitchS + 16 * t));
    const auto multiply_column = [&](int c, u32 b0, u32 b1) {
#pragma unroll
      for (int t = 0; t < kQueryTiles; ++t) mma_m16n8k16<scalar>(dq[t][c], a[t], b0, b1);
    };
    const u32 b_lane = k_lane + 2 * 16 * step * kPitch;
#pragma unroll
    for (int c = 0; c + 1 < kTiles; c += 2) {
      u32 b[4];
      load_matrix_x4_transposed(b, b_lane + 2 * 8 * c);
      multiply_column(c, b[0], b[1]);
      multiply_column(c + 1, b[2], b[3]);
    }
    if constexpr (kTiles % 2 == 1) {
      u32 b0, b1;
      load_matrix_x2_transposed(b0, b1, b_lane + 2 * 8 * (kTiles - 1));
      multiply_column(kTiles - 1, b0, b1);
    }
  }
}
