// Dropout of probabilities. Included by an attention kernel after scores.cuh; fragments are as described
// there.
//
// FlashAttention-2's pattern: Philox's key is the seed, its counter {offset + 32 * (batch * heads + head) +
// lane, row / 16, key / 32}, and its 16 bytes are those of a lane's elements of that tile of 16 rows and 32
// keys, in order. An element is kept if its byte is at most keep_threshold.
#pragma once

//% include "device/philox.cuh"

static_assert(kPackedHeads == 1 || !(kDropout || kProbabilities),
              "16 rows of the pattern are queries of one head");

// The place of a fragment. Its rows are queries.
struct FragmentPlace {
  int batch, head, row;  // the first row, a multiple of 16
};

// The bytes of a lane for the 32 keys from `key` on, a multiple of 32: word j is for s[4 * j] to s[4 * j +
// 3].
__device__ __forceinline__ uint4 dropout_bytes(const Arguments& args, const FragmentPlace& place, int key) {
  const u64 head = static_cast<u64>(place.batch) * args.heads + place.head;
  const u64 offset = args.dropout_offset + 32 * head + threadIdx.x % 32;
  return device::philox(args.dropout_keys, {static_cast<u32>(offset), static_cast<u32>(offset >> 32),
                                            static_cast<u32>(place.row) / 16, static_cast<u32>(key) / 32});
}

// The highest bit of each byte says whether its element is kept.
__device__ __forceinline__ u32 kept(u32 bytes, int keep_threshold) {
  constexpr u32 kHigh = 0x80808080;
  const u32 threshold = static_cast<u32>(keep_threshold) * 0x01010101;
  const u32 low_at_most = (threshold | kHigh) - (bytes & ~kHigh);  // of the lower seven bits
  return (threshold & ~bytes) | (~(threshold ^ bytes) & low_at_most);
}

// x if element kElement of four is kept, else 0.
template <int kElement>
__device__ __forceinline__ float drop(float x, u32 kept) {
  u32 mask;
  asm("prmt.b32 %0, %1, 0, %2;" : "=r"(mask) : "r"(kept), "n"(0x1111 * (8 | kElement)));  // spreads one bit
  return __uint_as_float(__float_as_uint(x) & mask);
}

// Two neighbours that are packed, each 0 unless it is kept: elements 2 * kPair and 2 * kPair + 1 of four.
template <int kPair>
__device__ __forceinline__ u32 drop_pair(u32 x, u32 kept) {
  u32 mask;
  asm("prmt.b32 %0, %1, 0, %2;" : "=r"(mask) : "r"(kept), "n"(kPair == 0 ? 0x9988 : 0xbbaa));  // spreads two bits
  return x & mask;
}

// probabilities[batch, head, row, key] = p of one tile of 8 keys, negative where dropped; `key` is the tile's
// first one.
__device__ __forceinline__ void store_probabilities(const float* p, u32 kept, const Arguments& args,
                                                    const Sequence& sequence, const FragmentPlace& place,
                                                    int key) {
  const int row = place.row + static_cast<int>(threadIdx.x % 32 / 4);
  const int column = key + static_cast<int>(threadIdx.x % 4 * 2);
  scalar* const dst = args.probabilities + place.batch * args.probabilities_stride[0] +
                      place.head * args.probabilities_stride[1] + row * args.probabilities_stride[2] + column;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int r = 8 * (i / 2), c = i % 2;
    if (row + r < sequence.seqlen_q && column + c < sequence.seqlen_k)
      dst[r * args.probabilities_stride[2] + c] =
          device::from_f32<scalar>(kept >> (8 * i + 7) & 1 ? p[i] : -p[i]);
  }
}

// Sets dropped probabilities to 0; with kProbabilities writes all of them out before. Comes after the row
// sums, which are those without dropout. `key` is the fragment's first one, a multiple of 32.
template <int N>
__device__ __forceinline__ void apply_dropout(float (&p)[N], const Arguments& args, const Sequence& sequence,
                                              const FragmentPlace& place, int key) {
  static_assert(N % 16 == 0, "random bytes come for 32 keys at a time");
#pragma unroll
  for (int j = 0; j < N / 4; j += 4) {
    const uint4 bytes = kDropout ? dropout_bytes(args, place, key + 8 * j) : uint4{};
    const u32 words[4] = {bytes.x, bytes.y, bytes.z, bytes.w};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      float* const tile = p + 4 * (j + i);
      const u32 keep = kDropout ? kept(words[i], args.keep_threshold) : ~0u;
      if constexpr (kProbabilities) store_probabilities(tile, keep, args, sequence, place, key + 8 * (j + i));
      if constexpr (kDropout) {
        tile[0] = drop<0>(tile[0], keep);
        tile[1] = drop<1>(tile[1], keep);
        tile[2] = drop<2>(tile[2], keep);
        tile[3] = drop<3>(tile[3], keep);
      }
    }
  }
}

// Sets dropped ones to 0 among probabilities that are packed: p[2 * j + r] holds s[4 * j + 2 * r] and its
// neighbour. `key` is the fragment's first one, a multiple of 32.
template <int N>
__device__ __forceinline__ void drop_packed(u32 (&p)[N], const Arguments& args, const FragmentPlace& place,
                                            int key) {
  static_assert(N % 8 == 0, "random bytes come for 32 keys at a time");
#pragma unroll
  for (int j = 0; j < N / 2; j += 4) {
    const uint4 bytes = dropout_bytes(args, place, key + 8 * j);
    const u32 words[4] = {bytes.x, bytes.y, bytes.z, bytes.w};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const u32 keep = kept(words[i], args.keep_threshold);
      u32* const pairs = p + 2 * (j + i);
      pairs[0] = drop_pair<0>(pairs[0], keep);
      pairs[1] = drop_pair<1>(pairs[1], keep);
    }
  }
}
