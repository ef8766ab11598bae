// Tiles of the gradient of a bias: what a tile sums, and how it is written. Included by a kernel that computes it after
// backward_arguments.cuh and quad_rows.cuh: uses kBlockM, kBlockN and dbias_scalar.
#pragma once

// [first, end) of each dimension that is summed, and the tile's first query and key.
struct BiasTile {
  int batch, end_batch, head, end_head, query, key;
};

// Tile `index` of the tensor. Neighbours lie on a diagonal: whoever takes every n-th one gets its share of those that a
// mask leaves. `one_row`: the bias is the same for all queries.
__device__ __forceinline__ BiasTile bias_tile(const BackwardArguments& args, int index, bool one_row = false) {
  const int row_tiles = one_row ? 1 : ceil_div(args.bias_q, kBlockM), key_tiles = ceil_div(args.bias_k, kBlockN);
  BiasTile tile;
  tile.query = index % row_tiles * kBlockM;
  index /= row_tiles;
  tile.key = (index % key_tiles + tile.query / kBlockN) % key_tiles * kBlockN;
  index /= key_tiles;
  tile.head = index % args.bias_heads;
  tile.end_head = args.bias_heads == 1 ? args.forward.heads : tile.head + 1;
  tile.batch = index / args.bias_heads;
  tile.end_batch = args.bias_batch == 1 ? args.forward.batch : tile.batch + 1;
  return tile;
}

// The gradients of a query, from the tile's first key on.
__device__ __forceinline__ dbias_scalar* dbias_row(const BackwardArguments& args, const BiasTile& tile, int query) {
  return static_cast<dbias_scalar*>(args.dbias) + tile.batch * args.dbias_stride[0] +
         tile.head * args.dbias_stride[1] + query * args.dbias_stride[2] + tile.key;
}

// Whether whole words of 16 bytes, or of two f32, can be written.
__device__ __forceinline__ bool dbias_in_words(const BackwardArguments& args) {
  const u64 bits = reinterpret_cast<u64>(args.dbias) / sizeof(dbias_scalar) | args.dbias_stride[0] |
                   args.dbias_stride[1] | args.dbias_stride[2] | args.bias_k;
  return bits % 8 == 0;
}

// Writes a warp's 16 rows from `row` on: a fragment of the tile's kBlockN keys.
__device__ __forceinline__ void store_dbias(const BackwardArguments& args, const BiasTile& tile, int row,
                                            const float (&sums)[kBlockN / 2]) {
  const int lane = threadIdx.x % 32;
  const bool in_words = dbias_in_words(args);
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const int query = row + lane / 4 + 8 * r, end = args.bias_k - tile.key;
    dbias_scalar* const dst = dbias_row(args, tile, query);
    const bool is_row = query < args.bias_q;
    if (!in_words) {
#pragma unroll
      for (int i = 0; i < kBlockN / 4; ++i) {
        const int column = i / 2 * 8 + lane % 4 * 2 + i % 2;
        if (is_row && column < end) dst[column] = from_f32<dbias_scalar>(sums[i / 2 * 4 + 2 * r + i % 2]);
      }
    } else if constexpr (sizeof(dbias_scalar) == 2) {  // scalar
      u32 words[kBlockN / 8];
#pragma unroll
      for (int j = 0; j < kBlockN / 8; ++j)
        words[j] = pack<scalar>(sums[4 * j + 2 * r], sums[4 * j + 2 * r + 1]);
      store_quad_row(reinterpret_cast<scalar*>(dst), words, end, is_row);
    } else {
#pragma unroll
      for (int j = 0; j < kBlockN / 8; ++j) {
        const int column = 8 * j + lane % 4 * 2;
        if (is_row && column < end)
          *reinterpret_cast<float2*>(dst + column) = float2{sums[4 * j + 2 * r], sums[4 * j + 2 * r + 1]};
      }
    }
  }
}
