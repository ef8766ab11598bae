// Products of a warp's rows with tiles in shared memory, by mma.sync. Included by the kernels of attention's
// gradients. Fragments lie as scores.cuh describes them, for kRowTiles tiles of 16 rows. By all lanes of a
// warp.
#pragma once

// Where a lane starts to load a left operand, whose rows are the warp's; or a right one, whose rows are the
// columns of the product, or are what is summed over.
__device__ __forceinline__ u32 left_lane(const scalar* tile, int pitch, int first_row) {
  const int lane = threadIdx.x % 32;
  return shared_address(tile) + 2 * ((first_row + lane % 16) * pitch + lane / 16 * 8);
}
__device__ __forceinline__ u32 right_lane(const scalar* tile, int pitch) {
  const int lane = threadIdx.x % 32;
  return shared_address(tile) + 2 * ((lane % 8 + lane / 16 * 8) * pitch + lane / 8 % 2 * 8);
}
__device__ __forceinline__ u32 summed_lane(const scalar* tile, int pitch, int first_column) {
  const int lane = threadIdx.x % 32;
  return shared_address(tile) + 2 * (lane % 16 * pitch + lane / 16 * 8 + first_column);
}

// d = a b^T: a has the warp's rows, b N / 4 tiles of 8 rows, both 16 * kSteps columns.
template <int kSteps, int kPitch, int kRowTiles, int N>
__device__ __forceinline__ void multiply(float (&d)[kRowTiles][N], u32 a_lane, u32 b_lane) {
  static_assert(N % 8 == 0, "right operands are loaded for 16 rows at a time");
#pragma unroll
  for (int t = 0; t < kRowTiles; ++t) {
#pragma unroll
    for (int i = 0; i < N; ++i) d[t][i] = 0.0f;
  }
#pragma unroll
  for (int step = 0; step < kSteps; ++step) {
    u32 a[kRowTiles][4];
#pragma unroll
    for (int t = 0; t < kRowTiles; ++t) load_matrix_x4(a[t], a_lane + 2 * (16 * t * kPitch + 16 * step));
#pragma unroll
    for (int j = 0; j < N / 4; j += 2) {
      u32 b[4];
      load_matrix_x4(b, b_lane + 2 * (8 * j * kPitch + 16 * step));
#pragma unroll
      for (int t = 0; t < kRowTiles; ++t) {
        mma_m16n8k16<scalar>(d[t] + 4 * j, a[t], b[0], b[1]);
        mma_m16n8k16<scalar>(d[t] + 4 * j + 4, a[t], b[2], b[3]);
      }
    }
  }
}

// d += p b: p is packed, p[t][2 * j + r] holding keys or queries 8 * j + 2 * (lane % 4) and the next one of
// row lane / 4 + 8 * r; b has a row for each of them and kColumnTiles tiles of 8 columns.
template <int kPitch, int kRowTiles, int kColumnTiles, int N>
__device__ __forceinline__ void accumulate(float (&d)[kRowTiles][kColumnTiles][4],
                                           const u32 (&p)[kRowTiles][N], u32 b_lane) {
#pragma unroll
  for (int j = 0; j < N / 2; j += 2) {
    const auto multiply_column = [&](int c, u32 b0, u32 b1) {
#pragma unroll
      for (int t = 0; t < kRowTiles; ++t) {
        const u32 a[4] = {p[t][2 * j], p[t][2 * j + 1], p[t][2 * j + 2], p[t][2 * j + 3]};
        mma_m16n8k16<scalar>(d[t][c], a, b0, b1);
      }
    };
#pragma unroll
    for (int c = 0; c + 1 < kColumnTiles; c += 2) {
      u32 b[4];
      load_matrix_x4_transposed(b, b_lane + 2 * (8 * j * kPitch + 8 * c));
      multiply_column(c, b[0], b[1]);
      multiply_column(c + 1, b[2], b[3]);
    }
    if constexpr (kColumnTiles % 2 == 1) {
      u32 b0, b1;
      load_matrix_x2_transposed(b0, b1, b_lane + 2 * (8 * j * kPitch + 8 * (kColumnTiles - 1)));
      multiply_column(kColumnTiles - 1, b0, b1);
    }
  }
}

// Rounds a fragment to what accumulate() takes.
template <int kRowTiles, int N>
__device__ __forceinline__ void pack(u32 (&p)[kRowTiles][N / 2], const float (&x)[kRowTiles][N]) {
#pragma unroll
  for (int t = 0; t < kRowTiles; ++t) {
#pragma unroll
    for (int i = 0; i < N / 2; ++i) p[t][i] = device::pack<scalar>(x[t][2 * i], x[t][2 * i + 1]);
  }
}

// Writes factor * d, the warp's rows of a product, to rows of global memory by way of `stage`, the warp's own
// rows (and columns) of a tile that no other warp uses any more. Row r goes to dst + r * stride if r < rows,
// without its first `skipped` columns, a multiple of 8.
template <int kPitch, int kRowTiles, int kColumnTiles>
__device__ __forceinline__ void store_rows(const float (&d)[kRowTiles][kColumnTiles][4], float factor,
                                           scalar* stage, scalar* dst, i64 stride, int rows, int skipped = 0) {
  const int lane = threadIdx.x % 32;
  __syncwarp();
#pragma unroll
  for (int t = 0; t < kRowTiles; ++t) {
#pragma unroll
    for (int c = 0; c < kColumnTiles; ++c) {
      if (8 * c < skipped) continue;
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        *reinterpret_cast<u32*>(stage + (16 * t + 8 * r + lane / 4) * kPitch + 8 * c + lane % 4 * 2) =
            device::pack<scalar>(d[t][c][2 * r] * factor, d[t][c][2 * r + 1] * factor);
      }
    }
  }
  __syncwarp();
  constexpr int kVec = kAlignment / 2;
  constexpr int kVecsPerRow = 8 * kColumnTiles / kVec;
#pragma unroll 4
  for (int index = lane; index < 16 * kRowTiles * kVecsPerRow; index += 32) {
    const int r = index / kVecsPerRow, column = index % kVecsPerRow * kVec;
    if (r < rows && column >= skipped)
      store(dst + r * stride + column, load<scalar, kVec>(stage + r * kPitch + column));
  }
}
