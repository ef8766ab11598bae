// Copies of tiles into shared memory. Included by an attention kernel below its constants and after
// scores.cuh: uses scalar, kAlignment and kThreads.
#pragma once

// Where the rows of a tile come from: address() is the current row's, which must not be read unless it is
// valid.

struct StridedRows {
  const scalar* row;
  i64 stride;

  __device__ __forceinline__ void advance(int rows) { row += rows * stride; }
  __device__ __forceinline__ const scalar* address(bool) const { return row; }
};

// Rows of queries that share a head of keys and values.
struct PackedQueries {
  const scalar* first;  // query and head 0
  i64 query_stride, head_stride;
  int row;

  __device__ __forceinline__ void advance(int rows) { row += rows; }
  __device__ __forceinline__ const scalar* address(bool) const {
    const auto [query, head] = row_of(row, 0);
    return first + query * query_stride + head * head_stride;
  }
};

// Keys or values that are reached through a block table.
struct PagedRows {
  const scalar* first;  // row of page 0
  i64 page_stride, row_stride;
  const int* table;  // of the sequence
  i64 table_stride;
  u32 page_size;
  u32 key;

  __device__ __forceinline__ void advance(int rows) { key += rows; }
  __device__ __forceinline__ const scalar* address(bool valid) const {
    // key / page_size without a division for every row: the estimate is right or too small by one.
    u32 n = __umulhi(key, 0xffffffffu / page_size);
    u32 offset = key - n * page_size;
    if (offset >= page_size) {
      ++n;
      offset -= page_size;
    }
    const int page = valid ? table[n * table_stride] : 0;
    return first + page * page_stride + offset * row_stride;
  }
};

// The rows of k or v from key `key` of a sequence on.
__device__ __forceinline__ StridedRows strided_rows(const Sequence& sequence, int batch, int kv_head,
                                                    const scalar* tensor, const i64 (&stride)[3], int key) {
  return {tensor + kv_head * stride[2] + batch * stride[0] + (sequence.first_k + key) * stride[1], stride[1]};
}
__device__ __forceinline__ auto key_rows(const Arguments& args, const Sequence& sequence, int batch,
                                         int kv_head, const scalar* tensor, const i64 (&stride)[3], int key) {
  const scalar* const first = tensor + kv_head * stride[2];
  if constexpr (kPaged) {
    return PagedRows{first,
                     stride[0],
                     stride[1],
                     args.block_table + batch * args.block_table_stride[0],
                     args.block_table_stride[1],
                     static_cast<u32>(args.page_size),
                     static_cast<u32>(key)};
  } else {
    return strided_rows(sequence, batch, kv_head, tensor, stride, key);
  }
}

// The queries of a tile, from the sequence's row `row` on.
__device__ __forceinline__ auto query_rows(const Arguments& args, const Sequence& sequence, int batch,
                                           int head, int row) {
  const i64(&stride)[3] = args.q_stride;
  const scalar* const first = args.q + batch * stride[0] + sequence.first_q * stride[1] + head * stride[2];
  if constexpr (kPackedHeads > 1) {
    return PackedQueries{first, stride[1], stride[2], row};
  } else {
    return StridedRows{first + row * stride[1], stride[1]};
  }
}

// How the threads of a block share the copy of a tile: each takes the same columns of every kRowThreads-th
// row, so its addresses differ by constants and by one stride.
template <int kRows, int kColumns>
struct CopyShape {
  static constexpr int kVec = kAlignment / 2;
  static constexpr int kVecsPerRow = kColumns / kVec;
  static constexpr int kColumnThreads = power_of_two_below(kVecsPerRow < 32 ? kVecsPerRow : 32);
  static constexpr int kRowThreads = kThreads / kColumnThreads;
  static constexpr int kRowPasses = ceil_div(kRows, kRowThreads);
  static constexpr int kColumnPasses = ceil_div(kVecsPerRow, kColumnThreads);
};

// tile[r, :] = rows[r, :] for r < kRows; rows from `valid_rows` on become zeros. By all threads;
// asynchronous.
template <int kRows, int kColumns, int kPitch, class Rows>
__device__ __forceinline__ void copy_tile(u32 tile, Rows rows, int valid_rows) {
  using Shape = CopyShape<kRows, kColumns>;
  constexpr int kVec = Shape::kVec;
  const int row = threadIdx.x / Shape::kColumnThreads, column = threadIdx.x % Shape::kColumnThreads;
  const u32 dst = tile + 2 * (row * kPitch + column * kVec);
  rows.advance(row);
#pragma unroll(kAlignment == 2 ? 2 : Shape::kRowPasses)  // 2-byte copies go through registers: few at a time
  for (int i = 0; i < Shape::kRowPasses; ++i) {
    const int r = i * Shape::kRowThreads;
    if (kRows % Shape::kRowThreads == 0 || row + r < kRows) {
      const bool valid = row + r < valid_rows;
      const scalar* const src = rows.address(valid) + column * kVec;
#pragma unroll
      for (int j = 0; j < Shape::kColumnPasses; ++j) {
        const int c = j * Shape::kColumnThreads;
        if (Shape::kVecsPerRow % Shape::kColumnThreads == 0 || column + c < Shape::kVecsPerRow)
          copy_async<kAlignment>(dst + 2 * (r * kPitch + c * kVec), src + c * kVec, valid);
      }
    }
    rows.advance(Shape::kRowThreads);
  }
}

// The columns between kColumns and the next multiple of 16 of a tile; no copy ever writes them.
template <int kRows, int kColumns, int kPitch>
__device__ __forceinline__ void zero_padding(scalar* tile) {
  if constexpr (kColumns % 16 != 0) {
    for (int r = threadIdx.x; r < kRows; r += kThreads)
      *reinterpret_cast<uint4*>(tile + r * kPitch + kColumns) = uint4{};
  }
}
