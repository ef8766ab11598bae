// What attention_sm90 does at the ends of its rows and its tiles, whichever way out is written. Included by the kernel.
#pragma once

// Rows `valid` to kBlockN of a tile of values become zeros: 0 times what lies beyond a sequence may be NaN.
// Every warpgroup clears for itself, so that it need not wait for others.
__device__ __forceinline__ void clear_rows(u32 values, int valid, int warpgroup) {
  const int chunks = (kBlockN - max(valid, 0)) * (kSwizzleV / 16);
#pragma unroll 1
  for (int p = 0; p < kPanelsV; ++p) {
    const u32 first = values + (p * kBlockN + max(valid, 0)) * kSwizzleV;
    for (int i = threadIdx.x % 128; i < chunks; i += 128) clear_shared(first + 16 * i);
  }
  fence_async_proxy();
  named_sync(kGroupBarrier + warpgroup, 128);
}
