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

  __device__ __forceinline__ void write(const Params& params) {
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
      store_quad_row(dst, out_[r], kHeadDimV % kBlockV == 0 ? kBlockV : kHeadDimV - first_column, is_row);
    }
  }

 private:
  int batch_ = 0, part_ = 0;
  Sequence sequence_ = {};  // of no queries: nothing is written
  Row row_[2] = {};
  float lse_[2] = {};
  u32 out_[2][kBlockV / 8] = {};
};
