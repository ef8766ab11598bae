// How consumer warpgroups of attention_backward_sm90 add to dq from registers. Included by the kernel after
// producer_backward_sm90.cuh.
#pragma once

// Adds a warpgroup's part of dq of one tile, in deterministic mode when the warp that keeps the order says so.
__device__ __forceinline__ void add_part(float* sums, const float (&dq)[kQueryColumns / 2], int warpgroup) {
  if constexpr (kDeterministic) named_sync(kSumTurnBarrier + warpgroup, 160);
  float* const dst = sums + warpgroup * 64 * kQueryColumns + threadIdx.x % 128 * 4;
#pragma unroll
  for (int j = 0; j < kQueryColumns / 8; ++j)
    add_global(dst + 512 * j, float4{dq[4 * j], dq[4 * j + 1], dq[4 * j + 2], dq[4 * j + 3]});
  if constexpr (kDeterministic) named_arrive(kSumFullBarrier + warpgroup, 160);
}
