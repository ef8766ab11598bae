// Dropout of a warpgroup's tile of 64 keys by kBlockM queries, whose pattern it draws ahead into shared memory, while
// it waits for products: a warp that needs 16 keys of it would else draw the bytes of 32. Included by a kernel of
// attention's gradients after dropout.cuh: uses kDropMasks, whether it does so, and kBlockM.
//
// A mask has one word for 32 keys, 32 queries and one lane: [2][kBlockM / 32][32]. Bit 4 * g + j of byte 2 * r + c
// belongs to the lane's row 8 * r and key 8 * j + c in dropout.cuh's tile of queries 16 * g to 16 * g + 15. It is set
// if the probability is kept.
#pragma once

constexpr int kMaskBytes = kDropMasks ? 64 * kBlockM / 8 : 0;

// By a warpgroup. `query` and `key` are the tile's first ones.
__device__ __forceinline__ void draw_mask(u32 mask, const Arguments& args, int batch, int head, int query, int key) {
  constexpr u32 kHigh = 0x80808080;
#pragma unroll 1
  for (int i = threadIdx.x % 128; i < 2 * kBlockM; i += 128) {
    const int part = i / 32, first_query = query + part % (kBlockM / 32) * 32;
    u32 word = 0;
#pragma unroll
    for (int g = 0; g < 2; ++g) {
      const uint4 bytes =
          dropout_bytes(args, {batch, head, first_query + 16 * g}, key + part / (kBlockM / 32) * 32);
      const u32 words[4] = {bytes.x, bytes.y, bytes.z, bytes.w};
#pragma unroll
      for (int j = 0; j < 4; ++j) word |= (kept(words[j], args.keep_threshold) & kHigh) >> (7 - 4 * g - j);
    }
    store_shared(mask + 4 * i, static_cast<int>(word));
  }
}

// A lane's address of its warp's 16 keys and the first 32 queries. Lanes hold scores as backward_columns.cuh says.
__device__ __forceinline__ u32 mask_address(u32 mask) {
  const int lane = threadIdx.x % 32, owner = lane % 4 * 8 + lane / 8;  // row: the query % 8; columns: the key % 8
  return mask + (threadIdx.x % 128 / 64 * kBlockM + owner) * 4;
}

// What of the mask belongs to a lane's 16 scores of 32 queries, s[8 * g + 4 * half + 2 * r + c]: bit 4 * g + r + 2 of
// byte 2 * half + c. `key` is the warp's first.
__device__ __forceinline__ u32 load_mask(u32 address, int key) {
  const u32 even = load_shared(address), odd = load_shared(address + 16);
  u32 bytes;
  asm("prmt.b32 %0, %1, %2, %3;" : "=r"(bytes) : "r"(even), "r"(odd), "r"(threadIdx.x / 4 % 2 ? 0x7351 : 0x6240));
  return bytes << (key % 32 == 0 ? 2 : 0);
}

// body(i, kept) for a lane's scores s[i], s[i + 1], s[i + 4], s[i + 5], which are kept where the highest bits of the
// bytes of `kept` are set.
template <int N, class Body>
__device__ __forceinline__ void for_each_kept(u32 address, int key, const Body& body) {
#pragma unroll
  for (int first = 0; first < N; first += 16) {
    const u32 mask = load_mask(address + first * 8, key);
#pragma unroll
    for (int g = 0; g < 2; ++g) {
#pragma unroll
      for (int r = 0; r < 2; ++r) body(first + 8 * g + 2 * r, mask << (5 - 4 * g - r));
    }
  }
}

// Sets what is dropped of scores, or of pairs of them, to zero.
template <int N>
__device__ __forceinline__ void drop_scores(float (&s)[N], u32 address, int key) {
  for_each_kept<N>(address, key, [&](int i, u32 kept) {
    s[i] = drop<0>(s[i], kept);
    s[i + 1] = drop<1>(s[i + 1], kept);
    s[i + 4] = drop<2>(s[i + 4], kept);
    s[i + 5] = drop<3>(s[i + 5], kept);
  });
}
template <int N>
__device__ __forceinline__ void drop_pairs(u32 (&s)[N], u32 address, int key) {
  for_each_kept<2 * N>(address, key, [&](int i, u32 kept) {
    s[i / 2] = drop_pair<0>(s[i / 2], kept);
    s[i / 2 + 2] = drop_pair<1>(s[i / 2 + 2], kept);
  });
}
