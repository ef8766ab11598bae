// The output of attention_sm90 on its way through shared memory, from where the tensor memory accelerator copies it
// while the next tile is computed. Included by the kernel.
#pragma once

// Every warp has its own 16 rows of kStagedColumns columns there, in panels as those of values.
class Output {
 public:
  __device__ __forceinline__ void take(const Params& params, u32 staged, const Work& work, const RowScores& rows,
                                       const Softmax& softmax, const float (&out)[kBlockV / 2]) {
    const int lane = threadIdx.x % 32;
    if constexpr (kHasLse) write_lse(params.args, work, rows, softmax);
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
                    rows.row[0].query, work.head, work.batch);
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
  __device__ __forceinline__ void write_lse(const Arguments& args, const Work& work, const RowScores& rows,
                                            const Softmax& softmax) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      if (rows.row[r].query < work.sequence.seqlen_q && threadIdx.x % 4 == 0 && work.part == 0)
        args.lse[work.batch * args.lse_stride[0] + work.head * args.lse_stride[1] +
                 rows.row[r].query * args.lse_stride[2]] = softmax.lse(r, args);
    }
  }
};
