// Copies of tiles into shared memory. Included by an attention kernel below its constants: uses scalar,
// kAlignment, kThreads, kHeadDim and kDimPadded.
#pragma once

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
template <int kRows, int kColumns, int kPitch>
__device__ __forceinline__ void copy_tile(u32 tile, const scalar* rows, i64 row_stride, int valid_rows) {
  using Shape = CopyShape<kRows, kColumns>;
  constexpr int kVec = Shape::kVec;
  const int row = threadIdx.x / Shape::kColumnThreads, column = threadIdx.x % Shape::kColumnThreads;
  const u32 dst = tile + 2 * (row * kPitch + column * kVec);
  const scalar* src = rows + row * row_stride + column * kVec;
#pragma unroll(kAlignment == 2 ? 2 : Shape::kRowPasses)  // 2-byte copies go through registers: few at a time
  for (int i = 0; i < Shape::kRowPasses; ++i) {
    const int r = i * Shape::kRowThreads;
    if (kRows % Shape::kRowThreads == 0 || row + r < kRows) {
#pragma unroll
      for (int j = 0; j < Shape::kColumnPasses; ++j) {
        const int c = j * Shape::kColumnThreads;
        if (Shape::kVecsPerRow % Shape::kColumnThreads == 0 || column + c < Shape::kVecsPerRow) {
          copy_async<kAlignment>(dst + 2 * (r * kPitch + c * kVec), src + c * kVec, row + r < valid_rows);
        }
      }
    }
    src += Shape::kRowThreads * row_stride;
  }
}

// The columns between kHeadDim and kDimPadded of a tile; no copy ever writes them.
template <int kRows, int kPitch>
__device__ __forceinline__ void zero_padding(scalar* tile) {
  if constexpr (kDimPadded != kHeadDim) {
    for (int r = threadIdx.x; r < kRows; r += kThreads)
      *reinterpret_cast<uint4*>(tile + r * kPitch + kHeadDim) = uint4{};
  }
}
