// dq[b, i, h, :] = scale dq_sums, which attention_backward_sm90 or _fused has added up; all tensors as
// sprue/ops/attention_backward.h and attention/dq_sums.cuh describe them.
//
// One block rounds and writes one tile of kBlockM queries: a warp has 16 of them and all columns, or half of those.

//% include "device/types.cuh"
//% include "device/vector.cuh"
//% include "device/add.cuh"
//% include "device/dependent.cuh"

// Problem: what is computed. Set by the caller.
using scalar = device::${SCALAR};
using bias_scalar = device::none;
constexpr int kHeadDim = ${HEAD_DIM};
constexpr bool kVarlen = ${VARLEN};  // sequences have lengths of their own
constexpr int kBlockM = ${BLOCK_M};  // queries per tile of sums
constexpr int kAlignment = ${ALIGNMENT};  // bytes that divide every address and stride of dq

// Schedule: how it is computed. Affects speed, never the result beyond rounding.
constexpr int kBlocksPerSm = ${BLOCKS_PER_SM};  // the register budget is divided by this

using namespace device;

constexpr int kPackedHeads = 1;
constexpr int kThreads = 256;
constexpr int kParts = kBlockM == 64 ? 2 : 1;  // of the columns: kThreads / 32 warps share the tile

//% include "attention/arguments.cuh"
//% include "attention/backward_arguments.cuh"
//% include "attention/packed_blocks.cuh"
//% include "attention/dq_sums.cuh"
//% include "attention/quad_rows.cuh"

// The same as store_quad_row() where rows are not aligned to 16 bytes.
template <int kTiles>
__device__ __forceinline__ void store_pairs(scalar* dst, const u32 (&words)[kTiles], int end) {
#pragma unroll
  for (int tile = 0; tile < kTiles; ++tile) {
    const int column = 8 * tile + threadIdx.x % 4 * 2;
    if (column >= end) continue;
    const auto& pair = reinterpret_cast<const Vec<scalar, 2>&>(words[tile]);
    if constexpr (kAlignment == 2) {
      dst[column] = pair.at[0];
      dst[column + 1] = pair.at[1];
    } else {
      store(dst + column, pair);
    }
  }
}

extern "C" __global__ void __launch_bounds__(kThreads, kBlocksPerSm)
    attention_backward_dq(const __grid_constant__ BackwardArguments args) {
  wait_for_kernel_ahead();
  const Arguments& forward = args.forward;
  const int block = gridDim.x - 1 - blockIdx.x;  // the last sums to be added up come first: L2 still has them
  int tile = block % forward.row_blocks;
  const int column = block / forward.row_blocks;
  const bool packed = kVarlen && forward.cu_seqlens_q != nullptr;
  int batch = column / forward.heads;
  if (packed) {
    batch = sequence_at<kBlockM>(forward.cu_seqlens_q, forward.batch, tile);
    tile -= blocks_before<kBlockM>(forward.cu_seqlens_q, batch);
  }
  const int head = packed ? column : column % forward.heads;
  const Sequence sequence = sequence_of(forward, batch);
  if (tile * kBlockM >= sequence.seqlen_q) return;

  constexpr int kColumns = kSumColumns / kParts;
  const int warp = threadIdx.x / 32, first_row = warp % (kBlockM / 16) * 16,
            first_column = warp / (kBlockM / 16) * kColumns;
  const float* const sums = args.dq_sums + tile_of_sums(forward, batch, head, tile) * (kBlockM * kSumColumns);
  u32 words[2][kColumns / 8];
#pragma unroll
  for (int j = 0; j < kColumns / 8; ++j) {
    const float4 x = read_sums(part_of_sums(sums, first_row / 16, first_column / 8 + j));
    words[0][j] = pack<scalar>(x.x * forward.scale, x.y * forward.scale);
    words[1][j] = pack<scalar>(x.z * forward.scale, x.w * forward.scale);
  }
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const int row = tile * kBlockM + first_row + static_cast<int>(threadIdx.x % 32 / 4) + 8 * r;
    scalar* const dst = args.dq + batch * args.dq_stride[0] + (sequence.first_q + row) * args.dq_stride[1] +
                        head * args.dq_stride[2] + first_column;
    if constexpr (kAlignment == 16) {
      store_quad_row<true>(dst, words[r], kHeadDim - first_column, row < sequence.seqlen_q);
    } else if (row < sequence.seqlen_q) {
      store_pairs(dst, words[r], kHeadDim - first_column);
    }
  }
}
