// Tiles of the bias in shared memory, [kBlockM queries, kBlockN keys], whose elements are scalar. Included by a kernel
// of attention's gradients before backward_columns.cuh or backward_rows.cuh.
#pragma once

constexpr int kBiasRowBytes = 128;  // of a panel of 64 keys, swizzled

// Where scores are queries by keys: a lane's address of a warp's 16 queries, the tile's `row` to `row` + 15. Lane
// l's is that of a row of matrix l / 8 of four: queries 0 to 7 and 8 to 15 of keys 0 to 7, and of keys 8 to 15.
__device__ __forceinline__ u32 bias_row_address(u32 tile, int row) {
  const int lane = threadIdx.x % 32;
  return tile + (row + lane % 16) * kBiasRowBytes + (lane / 16 * 16 ^ lane % 8 * 16);
}

// s += factor * bias; the tile's keys from `key` on, a multiple of 16.
template <int N>
__device__ __forceinline__ void add_bias_rows(float (&s)[N], u32 address, int key, float factor) {
#pragma unroll
  for (int j = 0; j < N / 8; ++j) {
    const int bytes = 2 * key + 32 * j;
    Vec<scalar, 8> bias;
    load_matrix_x4(reinterpret_cast<u32(&)[4]>(bias),
                   (address ^ bytes % kBiasRowBytes) + bytes / kBiasRowBytes * kBlockM * kBiasRowBytes);
#pragma unroll
    for (int i = 0; i < 8; ++i) s[8 * j + i] = fmaf(element(bias, i), factor, s[8 * j + i]);
  }
}

// Where they are keys by queries: a lane's address of a warp's 16 keys, the block's `row` to `row` + 15, and 16 queries
// from `query` on. Lane l's is that of a row of matrix l / 8: keys 0 to 7 and 8 to 15 of queries 0 to 7, and of queries
// 8 to 15.
__device__ __forceinline__ u32 bias_column_address(u32 tile, int row, int query) {
  const int lane = threadIdx.x % 32, key = row + lane / 8 % 2 * 8;
  return tile + (key / 64 * kBlockM + query + lane / 16 * 8 + lane % 8) * kBiasRowBytes +
         (2 * key % kBiasRowBytes ^ lane % 8 * 16);
}

// s += factor * bias.
template <int N>
__device__ __forceinline__ void add_bias_columns(float (&s)[N], u32 address, float factor) {
#pragma unroll
  for (int j = 0; j < N / 8; ++j) {
    Vec<scalar, 8> bias;
    load_matrix_x4_transposed(reinterpret_cast<u32(&)[4]>(bias), address + j * 16 * kBiasRowBytes);
#pragma unroll
    for (int i = 0; i < 8; ++i) s[8 * j + i] = fmaf(element(bias, i), factor, s[8 * j + i]);
  }
}

// Gradients of scores in place of the bias, packed as a left operand: what add_bias_columns() of the same lanes has
// read.
template <int N>
__device__ __forceinline__ void replace_bias_columns(u32 address, const u32 (&packed)[N]) {
#pragma unroll
  for (int j = 0; j < N / 4; ++j)
    store_matrices_transposed(address + j * 16 * kBiasRowBytes, &packed[4 * j]);
}
