// dq[b, i, h, :] = scale dq_sums, which attention_backward_sm90 has added up; all tensors as
// sprue/ops/attention_backward.h and attention/dq_sums.cuh describe them.
//
// One block rounds and writes one tile of kBlockM queries; a thread has of it what a thread of the consumer
// warpgroups had.

//% include "device/types.cuh"
//% include "device/vector.cuh"
//% include "device/dependent.cuh"

// Problem: what is computed. Set by the caller.
using scalar = device::${SCALAR};
using bias_scalar = device::none;
constexpr int kHeadDim = ${HEAD_DIM};
constexpr bool kVarlen = ${VARLEN};  // sequences have lengths of their own
constexpr int kBlockM = ${BLOCK_M};  // queries per tile of attention_backward_sm90

// Schedule: how it is computed. Affects speed, never the result beyond rounding.
constexpr int kBlocksPerSm = ${BLOCKS_PER_SM};  // the register budget is divided by this

using namespace device;

constexpr int kPackedHeads = 1;
constexpr int kThreads = 256;
constexpr int kColumns = round_up(kHeadDim, 32);
constexpr int kQueryColumns = kBlockM == 64 ? kColumns / 2 : kColumns;  // of a warpgroup

//% include "attention/arguments.cuh"
//% include "attention/backward_arguments.cuh"
//% include "attention/packed_blocks.cuh"
//% include "attention/dq_sums.cuh"
//% include "attention/quad_rows.cuh"

extern "C" __global__ void __launch_bounds__(kThreads, kBlocksPerSm)
    attention_backward_dq(const __grid_constant__ BackwardArguments args) {
  wait_for_kernel_ahead();
  const Arguments& forward = args.forward;
  int tile = blockIdx.x % forward.row_blocks;
  const int column = blockIdx.x / forward.row_blocks;
  const bool packed = kVarlen && forward.cu_seqlens_q != nullptr;
  int batch = column / forward.heads;
  if (packed) {
    batch = sequence_at<kBlockM>(forward.cu_seqlens_q, forward.batch, tile);
    tile -= blocks_before<kBlockM>(forward.cu_seqlens_q, batch);
  }
  const int head = packed ? column : column % forward.heads;
  const Sequence sequence = sequence_of(forward, batch);
  if (tile * kBlockM >= sequence.seqlen_q) return;

  const int warpgroup = threadIdx.x / 128, thread = threadIdx.x % 128;
  const auto* const src = reinterpret_cast<const float4*>(
      args.dq_sums + tile_of_sums(forward, batch, head, tile) * (kBlockM * kColumns) +
      warpgroup * 64 * kQueryColumns);
  u32 words[2][kQueryColumns / 8];
#pragma unroll
  for (int j = 0; j < kQueryColumns / 8; ++j) {
    const float4 x = __ldcs(src + j * 128 + thread);
    words[0][j] = pack<scalar>(x.x * forward.scale, x.y * forward.scale);
    words[1][j] = pack<scalar>(x.z * forward.scale, x.w * forward.scale);
  }
  const int first_column = kBlockM == 64 ? warpgroup * kQueryColumns : 0;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const int row =
        tile * kBlockM + (kBlockM == 64 ? 0 : warpgroup * 64) + thread / 32 * 16 + thread % 32 / 4 + 8 * r;
    scalar* const dst = args.dq + batch * args.dq_stride[0] + (sequence.first_q + row) * args.dq_stride[1] +
                        head * args.dq_stride[2] + first_column;
    store_quad_row(dst, words[r], kHeadDim - first_column, row < sequence.seqlen_q);
  }
}
