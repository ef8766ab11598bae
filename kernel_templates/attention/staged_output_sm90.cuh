// The output of attention_sm90 on its way through shared memory, from where the tensor memory accelerator copies it
// while the next tile is computed. Included by the kernel.
#pragma once

//% include "attention/quad_rows.cuh"

// Every warp has its own 16 rows of kStagedColumns columns there, in panels as those of values.
class Output {
 public:
  __device__ __forceinline__ void take(const Params& params, u32 staged, const Work& work, const RowScores& rows,
                                       const Softmax& softmax, const float (&out)[kBlockV / 2]) {
    const Arguments& args = params.args;
    const int lane = threadIdx.x % 32;
    if (kHasLse && work.part == 0) {
#pragma unroll
      for (int r = 0; r < 2; ++r) write_lse(args, work.batch, work.sequence, rows.row[r], softmax.lse(r, args));
    }
    // A box ends where out does, which may be behind the end of a sequence.
    const int first_row = (threadIdx.x / 32 - 4) * 16, query = work.query + first_row / kPackedHeads;
    if (kVarlen && query + ceil_div(16, kPackedHeads) > work.sequence.seqlen_q)
      return write_rows(args, work, rows, softmax, out);
    // Of the panel's chunks of 16 bytes, those of a row are permuted as the copy expects.
    const u32 row = staged + lane % 16 * kSwizzleV, permuted = lane % 16 * kSwizzleV / 128 % (kSwizzleV / 16) * 16;
#pragma unroll
    for (int first = 0; first < kBlockV; first += kStagedColumns) {
      if (lane == 0) wait_bulk_read<0>();
      __syncwarp();
#pragma unroll
      for (int column = 0; column < kStagedColumns; column += 16) {
        u32 words[4];
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const float* const pair = &out[(first + column + i / 2 * 8) / 2 + i % 2 * 2];
          words[i] = device::pack<scalar>(pair[0] * softmax.factor[i % 2], pair[1] * softmax.factor[i % 2]);
        }
        const int panel = column / kPanelV, offset = column % kPanelV * 2 + lane / 16 * 16;
        store_matrices(row + panel * 16 * kSwizzleV + (offset ^ permuted), words);
      }
      fence_async_proxy();
      __syncwarp();
      if (lane == 0) {
#pragma unroll
        for (int column = 0; column < kStagedColumns; column += kPanelV) {
          store_box(params.out, staged + column / kPanelV * 16 * kSwizzleV, work.part * kBlockV + first + column,
                    first_row % kPackedHeads, work.sequence.first_q + query, work.head / kPackedHeads,
                    kVarlen && args.cu_seqlens_q != nullptr ? 0 : work.batch);
        }
        commit_bulk();
      }
    }
  }

  __device__ __forceinline__ void write_pending(const Params&) {}

  // Copies read shared memory of the block, which therefore must not end before them.
  __device__ __forceinline__ void finish() {
    if (threadIdx.x % 32 == 0) wait_bulk<0>();
  }

 private:
  // Those of 16 rows that the sequence has, from registers.
  __device__ __forceinline__ void write_rows(const Arguments& args, const Work& work, const RowScores& rows,
                                             const Softmax& softmax, const float (&out)[kBlockV / 2]) {
    const int first_column = work.part * kBlockV;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      u32 words[kBlockV / 8];
      pack_row(words, out, softmax.factor[r], r);
      store_quad_row<kStreamsOut>(address_of_out(args, work.batch, work.sequence, rows.row[r], first_column), words,
                                  columns_of_out(first_column), rows.row[r].query < work.sequence.seqlen_q);
    }
  }
};
