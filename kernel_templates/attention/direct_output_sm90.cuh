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
      pack_row(out_[r], out, softmax.factor[r], r);
    }
  }

  __device__ __forceinline__ void write_pending(const Params& params) {
    const Arguments& args = params.args;
    const int first_column = part_ * kBlockV;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      if (kHasLse && part_ == 0) write_lse(args, batch_, sequence_, row_[r], lse_[r]);
      store_quad_row<kStreamsOut>(address_of_out(args, batch_, sequence_, row_[r], first_column), out_[r],
                                  columns_of_out(first_column), row_[r].query < sequence_.seqlen_q);
    }
  }

  __device__ __forceinline__ void finish() {}

 private:
  int batch_ = 0, part_ = 0;
  Sequence sequence_ = {};  // of no queries: nothing is written
  Row row_[2] = {};
  float lse_[2] = {};
  u32 out_[2][kBlockV / 8] = {};
};
