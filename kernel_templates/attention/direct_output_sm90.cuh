// The output of attention_sm90 as threads write it from their registers. Included by the kernel.
#pragma once

//% include "attention/quad_rows.cuh"

// A warpgroup's rows of a tile that is complete, normalised and rounded: they are written while the queries of
// the next one are being loaded. Until there is one, nothing.
class Output {
 public:
  __device__ __forceinline__ void take(const Params& params, u32, const Work& work, const RowScores& rows,
                                       const Softmax& softmax, const float (&out)[kBlockV / 2]) {
    batch_ = work.batch;
    part_ = work.part;
    sequence_ = work.sequence;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      row_[r] = rows.row[r];
      if constexpr (kHasLse) lse_[r] = softmax.lse(r, params.args);
#pragma unroll
      for (int tile = 0; tile < kBlockV / 8; ++tile) {
        out_[r][tile] = device::pack<scalar>(out[4 * tile + 2 * r] * softmax.factor[r],
                                             out[4 * tile + 2 * r + 1] * softmax.factor[r]);
      }
    }
  }

  __device__ __forceinline__ void write_pending(const Params& params) {
    const Arguments& args = params.args;
    const int first_column = part_ * kBlockV;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const auto [query, head] = row_[r];
      const bool is_row = query < sequence_.seqlen_q;
      const i64 row = sequence_.first_q + query;
      if (kHasLse && is_row && threadIdx.x % 4 == 0 && part_ == 0)
        args.lse[batch_ * args.lse_stride[0] + head * args.lse_stride[1] + row * args.lse_stride[2]] =
            lse_[r];

      scalar* const dst = args.out + batch_ * args.out_stride[0] + row * args.out_stride[1] +
                          head * args.out_stride[2] + first_column;
      store_quad_row<kStreams>(dst, out_[r], kHeadDimV % kBlockV == 0 ? kBlockV : kHeadDimV - first_column, is_row);
    }
  }

  __device__ __forceinline__ void finish() {}

 private:
  static constexpr bool kStreams = kBlockV > 64;  // measured: narrower rows take longer so

  int batch_ = 0, part_ = 0;
  Sequence sequence_ = {};  // of no queries: nothing is written
  Row row_[2] = {};
  float lse_[2] = {};
  u32 out_[2][kBlockV / 8] = {};
};
