// How consumer warpgroups of attention_backward_sm90 add to dq from registers. Included by the kernel after
// producer_backward_sm90.cuh.
#pragma once

// Adds N / 128 of the columns of a warpgroup's part of dq of one tile, from `column` on.
template <int N>
__device__ __forceinline__ void add_columns(float* sums, const float (&dq)[N], int warpgroup, int column) {
  float* const dst = sums + warpgroup * 64 * kQueryColumns + 64 * column + threadIdx.x % 128 * 4;
#pragma unroll
  for (int j = 0; j < N / 4; ++j)
    add_global(dst + 512 * j, float4{dq[4 * j], dq[4 * j + 1], dq[4 * j + 2], dq[4 * j + 3]});
}

// In deterministic mode additions begin when the warp that keeps the order says so, and it learns when they end.
__device__ __forceinline__ void begin_additions(int warpgroup) {
  if constexpr (kDeterministic) named_sync(kSumTurnBarrier + warpgroup, 160);
}
__device__ __forceinline__ void end_additions(int warpgroup) {
  if constexpr (kDeterministic) named_arrive(kSumFullBarrier + warpgroup, 160);
}
