// How consumer warpgroups of attention_backward_sm90 add to dq from registers. Included by the kernel after
// producer_backward_sm90.cuh.
#pragma once

// Adds a warpgroup's part of dq of one tile. In deterministic mode every warpgroup waits for its own kind of
// the block of the next keys, and leaves a mark.
__device__ __forceinline__ void add_part(float* sums, const float (&dq)[kQueryColumns / 2], u32* mark,
                                         u32 own_mark, bool is_later, int warpgroup) {
  const bool elected = threadIdx.x % 128 == 0;
  if constexpr (kDeterministic) {
    if (elected && is_later) wait_for_mark(mark, own_mark + 1);
    named_sync(kGroupBarrier + warpgroup, 128);
  }
  float* const dst = sums + warpgroup * 64 * kQueryColumns + threadIdx.x % 128 * 4;
#pragma unroll
  for (int j = 0; j < kQueryColumns / 8; ++j)
    add_global(dst + 512 * j, float4{dq[4 * j], dq[4 * j + 1], dq[4 * j + 2], dq[4 * j + 3]});
  if constexpr (kDeterministic) {
    __threadfence();
    named_sync(kGroupBarrier + warpgroup, 128);
    if (elected) leave_mark(mark, own_mark);
  }
}
