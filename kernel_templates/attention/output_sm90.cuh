// What attention_sm90 writes: a warpgroup's rows of out and lse. Included by the kernel.
#pragma once

//% include "attention/quad_rows.cuh"

// Rows `valid` to kBlockN of a tile of values become zeros: 0 times what lies beyond a sequence may be NaN.
// Every warpgroup clears for itself, so that it need not wait for others.
__device__ __forceinline__ void clear_rows(u32 values, int valid, int warpgroup) {
  const int chunks = (kBlockN - max(valid, 0)) * (kSwizzleV / 16);
#pragma unroll 1
  for (int p = 0; p < kPanelsV; ++p) {
    const u32 first = values + (p * kBlockN + max(valid, 0)) * kSwizzleV;
    for (int i = threadIdx.x % 128; i < chunks; i += 128) clear_shared(first + 16 * i);
  }
  fence_async_proxy();
  named_sync(kGroupBarrier + warpgroup, 128);
}

// A warpgroup's rows of a tile that is complete but not written, normalised and rounded. Until there is one,
// nothing.
class Finished {
 public:
  Finished() = default;
  __device__ __forceinline__ Finished(const Arguments& args, const Work& work, const RowScores& rows,
                                      const Softmax& softmax, const float (&out)[kBlockV / 2])
      : batch_(work.batch), part_(work.part), sequence_(work.sequence) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      row_[r] = rows.row[r];
      if constexpr (kHasLse) lse_[r] = softmax.lse(r, args);
#pragma unroll
      for (int tile = 0; tile < kBlockV / 8; ++tile) {
        out_[r][tile] = device::pack<scalar>(out[4 * tile + 2 * r] * softmax.factor[r],
                                             out[4 * tile + 2 * r + 1] * softmax.factor[r]);
      }
    }
  }

  // Four lanes share a row: each takes eight neighbouring columns of every 32, so that they write whole
  // sectors.
  __device__ __forceinline__ void write(const Params& params) {
    const Arguments& args = params.args;
    const int quad = threadIdx.x % 4, first_column = part_ * kBlockV;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const auto [query, head] = row_[r];
      const bool is_row = query < sequence_.seqlen_q;
      const i64 row = sequence_.first_q + query;
      if (kHasLse && is_row && quad == 0 && part_ == 0)
        args.lse[batch_ * args.lse_stride[0] + head * args.lse_stride[1] + row * args.lse_stride[2]] =
            lse_[r];

      scalar* const dst = args.out + batch_ * args.out_stride[0] + row * args.out_stride[1] +
                          head * args.out_stride[2] + first_column;
      const auto is_column = [&](int column) {
        return kHeadDimV % kBlockV == 0 || first_column + column < kHeadDimV;
      };
#pragma unroll
      for (int tile = 0; tile + 4 <= kBlockV / 8; tile += 4) {
        u32 word[4] = {out_[r][tile], out_[r][tile + 1], out_[r][tile + 2], out_[r][tile + 3]};
        transpose_quad(word);
        const int column = 8 * (tile + quad);
        if (is_row && is_column(column))
          *reinterpret_cast<uint4*>(dst + column) = uint4{word[0], word[1], word[2], word[3]};
      }
#pragma unroll
      for (int tile = kBlockV / 32 * 4; tile < kBlockV / 8; ++tile) {
        const int column = 8 * tile + 2 * quad;
        if (is_row && is_column(column)) *reinterpret_cast<u32*>(dst + column) = out_[r][tile];
      }
    }
  }

 private:
  int batch_ = 0, part_ = 0;
  Sequence sequence_ = {};  // of no queries: nothing is written
  Row row_[2] = {};
  float lse_[2] = {};
  u32 out_[2][kBlockV / 8] = {};
};
