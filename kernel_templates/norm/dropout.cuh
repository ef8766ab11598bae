// Which elements dropout keeps, and its mask. Included by a kernel of the norm family below its Params: uses
// dropout_keys, dropout_offset and kept_of_65536 of them.
//
// Philox's key is the seed, its counter {offset + row * ceil(kHidden / 8) + column / 8, branch}, and its eight
// 16-bit numbers are those of eight columns, in order. An element is kept if its number is less than
// kept_of_65536.
#pragma once

//% include "device/philox.cuh"

// Bit e says whether the element at row, column + e is kept. `branch` is 0 for x, 1 for x1.
__device__ __forceinline__ u32 draw_kept(const Params& params, i64 row, int column, u32 branch) {
  const u64 place = params.dropout_offset + static_cast<u64>(row) * ceil_div(kHidden, 8) + column / 8;
  const uint4 random =
      philox(params.dropout_keys, {static_cast<u32>(place), static_cast<u32>(place >> 32), branch, 0});
  u32 words[4] = {random.x, random.y, random.z, random.w};
  if (kVec < 8 && (column & 4) != 0) {
    words[0] = words[2];
    words[1] = words[3];
  }
  if (kVec < 4 && (column & 2) != 0) words[0] = words[1];
  if (kVec < 2 && (column & 1) != 0) words[0] >>= 16;
  u32 kept = 0;
#pragma unroll
  for (int e = 0; e < kVec; ++e) {
    if ((words[e / 2] >> 16 * (e % 2) & 0xffff) < params.kept_of_65536) kept |= 1u << e;
  }
  return kept;
}

__device__ __forceinline__ void drop(Values& x, u32 kept) {
#pragma unroll
  for (int e = 0; e < kVec; ++e) x.at[e] = (kept >> e & 1) != 0 ? x.at[e] : 0.0f;
}

// A mask has 1 where an element is kept, else 0.
__device__ __forceinline__ void store_mask(u8* dst, u32 kept) {
  Vec<u8, kVec> mask;
#pragma unroll
  for (int e = 0; e < kVec; ++e) mask.at[e] = kept >> e & 1;
  store(dst, mask);
}
__device__ __forceinline__ u32 load_mask(const u8* src) {
  const Vec<u8, kVec> mask = load<u8, kVec>(src);
  u32 kept = 0;
#pragma unroll
  for (int e = 0; e < kVec; ++e) kept |= (mask.at[e] != 0 ? 1u : 0u) << e;
  return kept;
}
