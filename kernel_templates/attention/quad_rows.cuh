// Rows that four neighbouring lanes share, as the multiplications leave them. Included by an attention
// kernel.
#pragma once

// Lane q of each four neighbours gives word p to lane p and takes word q of each: rows become columns. By all
// lanes.
__device__ __forceinline__ void transpose_quad(u32 (&word)[4]) {
#pragma unroll
  for (int step = 1; step < 4; step *= 2) {
    const bool upper = threadIdx.x & step;
#pragma unroll
    for (int low = 0; low < 4; ++low) {
      if (low & step) continue;
      u32 &a = word[low], &b = word[low + step];
      const u32 received = __shfl_xor_sync(0xffffffffu, upper ? a : b, step);
      (upper ? a : b) = received;
    }
  }
}

template <bool kStreams, class T>
__device__ __forceinline__ void store_part(scalar* dst, const T& part) {
  T* const whole = reinterpret_cast<T*>(dst);
  if constexpr (kStreams) {
    __stcs(whole, part);
  } else {
    *whole = part;
  }
}

// dst[0, kTiles * 8) = one row of which each lane of four holds two neighbouring elements in every tile of 8
// columns; columns from `end` on, a multiple of 8, are not written. Each lane takes eight neighbouring
// columns of every 32, so that whole sectors are written. By all lanes; those whose `is_row` is false write
// nothing. kStreams: L2 keeps other data rather than what is written.
template <bool kStreams = false, int kTiles>
__device__ __forceinline__ void store_quad_row(scalar* dst, const u32 (&words)[kTiles], int end,
                                               bool is_row) {
  const int quad = threadIdx.x % 4;
#pragma unroll
  for (int tile = 0; tile + 4 <= kTiles; tile += 4) {
    u32 word[4] = {words[tile], words[tile + 1], words[tile + 2], words[tile + 3]};
    transpose_quad(word);
    const int column = 8 * (tile + quad);
    if (is_row && column < end)
      store_part<kStreams>(dst + column, uint4{word[0], word[1], word[2], word[3]});
  }
#pragma unroll
  for (int tile = kTiles / 4 * 4; tile < kTiles; ++tile) {
    const int column = 8 * tile + 2 * quad;
    if (is_row && column < end) store_part<kStreams>(dst + column, words[tile]);
  }
}
