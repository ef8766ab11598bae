// Where tiles of dq are summed up before they are rounded. Included by attention_backward_sm90,
// attention_backward_fused and attention_backward_dq after packed_blocks.cuh: uses kBlockM and kHeadDim.
//
// A tile of kBlockM queries is written as accumulators of products hold it: 64 queries after the other, of those every
// 8 columns, of those 16 queries after the other. Of these a lane has four sums: the four are neighbours where they can
// be added at once, else lanes are.
#pragma once

constexpr int kSumColumns = round_up(kHeadDim, 32);

// sums, a tile's, at 16 queries and 8 columns.
template <class T>
__device__ __forceinline__ T* part_of_sums(T* sums, int queries, int columns) {
  return sums + ((queries / 4 * (kSumColumns / 8) + columns) * 4 + queries % 4) * 128;
}

// Adds what a lane has of a product to a part.
__device__ __forceinline__ void add_to_sums(float* part, const float (&x)[4]) {
  const int lane = threadIdx.x % 32;
#if __CUDA_ARCH__ >= 900
  device::add_global(part + 4 * lane, float4{x[0], x[1], x[2], x[3]});
#else
#pragma unroll
  for (int i = 0; i < 4; ++i) device::add_global(part + 32 * i + lane, x[i]);
#endif
}

// What a lane has of a part.
__device__ __forceinline__ float4 read_sums(const float* part) {
  const int lane = threadIdx.x % 32;
#if __CUDA_ARCH__ >= 900
  return __ldcs(reinterpret_cast<const float4*>(part) + lane);
#else
  return {__ldcs(part + lane), __ldcs(part + 32 + lane), __ldcs(part + 64 + lane), __ldcs(part + 96 + lane)};
#endif
}

// The number of a tile of a sequence. A head has args.row_blocks of them.
__device__ __forceinline__ i64 tile_of_sums(const Arguments& args, int batch, int head, int tile) {
  const bool packed = kVarlen && args.cu_seqlens_q != nullptr;
  const i64 column = packed ? head : static_cast<i64>(batch) * args.heads + head;
  return column * args.row_blocks + tile + (packed ? blocks_before<kBlockM>(args.cu_seqlens_q, batch) : 0);
}
