// What attention_portable writes: a warp's rows of out and lse. Included by the kernel.
#pragma once

// Normalises the row of an accumulator: what its output has to be multiplied by, and its lse.
struct Normalised {
  float factor, lse;
};
__device__ __forceinline__ Normalised normalise(const Arguments& args, float row_max, float row_sum, int head) {
  float sum = quad_sum(row_sum), maximum = row_max, factor = 1.0f;
  if constexpr (kSinks) {
    const float sink = args.sinks[head * args.sink_stride] * kLog2E;
    maximum = fmaxf(fmaxf(row_max, sink), kLowest);
    factor = exp2_approx(row_max - maximum);
    sum = fmaf(sum, factor, exp2_approx(sink - maximum));
  }
  if constexpr (kDropout) factor *= args.keep_scale;
  return {sum == 0.0f ? 0.0f : factor / sum, sum == 0.0f ? args.empty_lse : (maximum + log2_approx(sum)) * kLn2};
}

// The output passes through the query tile. A warp touches only its own rows of it, so a warp barrier is
// enough.
__device__ __forceinline__ void store_output(const Accumulator& acc, const Arguments& args, scalar* tile_q,
                                             int warp_row, int part) {
  const Place place = place_of_block(args);
  const int lane = threadIdx.x % 32;
  const int rows = place.sequence.seqlen_q * kPackedHeads;
  __syncwarp();
#pragma unroll
  for (int t = 0; t < kRowTiles; ++t) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int local = warp_row + 16 * t + 8 * r + lane / 4;
      const auto [query, head] = row_of(place.first_row + local, place.head);
      const auto [factor, lse] = normalise(args, acc.row_max[t][r], acc.row_sum[t][r], head);
      if constexpr (kHasLse) {
        if (lane % 4 == 0 && place.first_row + local < rows && place.is_first_of_columns && part == 0) {
          args.lse[place.batch * args.lse_stride[0] + head * args.lse_stride[1] +
                   (place.sequence.first_q + query) * args.lse_stride[2]] = lse;
        }
      }
#pragma unroll
      for (int c = 0; c < kOutTiles; ++c) {
        *reinterpret_cast<u32*>(tile_q + local * kPitchQ + 8 * (part * kOutTiles + c) + lane % 4 * 2) =
            pack<scalar>(acc.out[t][c][2 * r] * factor, acc.out[t][c][2 * r + 1] * factor);
      }
    }
  }
  __syncwarp();

  constexpr int kVec = kAlignment / 2;
  constexpr int kVecsPerRow = 8 * kOutTiles / kVec;
  scalar* const out = args.out + place.batch * args.out_stride[0] + place.first_column;
#pragma unroll 4
  for (int index = lane; index < kRowsPerWarp * kVecsPerRow; index += 32) {
    const int local = warp_row + index / kVecsPerRow, column = (index % kVecsPerRow + part * kVecsPerRow) * kVec;
    const auto [query, head] = row_of(place.first_row + local, place.head);
    if (place.first_row + local < rows) {
      store(out + (place.sequence.first_q + query) * args.out_stride[1] + head * args.out_stride[2] + column,
            load<scalar, kVec>(tile_q + local * kPitchQ + column));
    }
  }
}
