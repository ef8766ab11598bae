// dbias[b', h', i', j] = sum ds[b, h, i, j]
// over the dimensions among batch, heads and queries in which bias has extent 1, with ds and all tensors as
// sprue/ops/attention_backward.h describes them.
//
// One block computes kBlockM rows and kBlockN columns of dbias, or kBlockN columns of its only row: it walks over what
// is summed and computes the scores and the products of dout and v anew for each. Nothing is added by atomics: the same
// call gives the same bits. Tensor cores through mma.sync, copies through cp.async: sm_80 and later. Sums are f32.

//% include "device/types.cuh"
//% include "device/vector.cuh"
//% include "device/cp_async.cuh"
//% include "device/mma.cuh"

// Problem: what is computed. Set by the caller.
using scalar = device::${SCALAR};
constexpr int kHeadDim = ${HEAD_DIM};
constexpr int kHeadDimV = ${HEAD_DIM_V};
constexpr bool kCausal = ${CAUSAL};
constexpr bool kWindow = ${WINDOW};
constexpr bool kChunk = ${CHUNK};
constexpr bool kSoftcap = ${SOFTCAP};
constexpr bool kAlibi = ${ALIBI};
using bias_scalar = device::${BIAS};
constexpr bool kDropout = ${DROPOUT};
constexpr bool kVarlen = ${VARLEN};             // sequences have lengths of their own
constexpr bool kSignedScale = ${SIGNED_SCALE};  // the scale may be less than 1e-20: zero or negative
constexpr int kAlignment = ${ALIGNMENT};        // bytes that divide every address and stride of 16-bit tensors
using dbias_scalar = device::${DBIAS};
constexpr bool kOneRow = ${ONE_ROW};            // bias is the same for all queries

// Schedule: how it is computed. Affects speed, never the result beyond rounding.
constexpr int kBlockM = ${BLOCK_M};             // queries at a time
constexpr int kBlockN = ${BLOCK_N};             // keys
constexpr int kWarps = ${WARPS};
constexpr int kBlocksPerSm = ${BLOCKS_PER_SM};  // the register budget is divided by this

static_assert(kHeadDim % 8 == 0 && kHeadDimV % 8 == 0,
              "rows are copied and multiplied in groups of 8 elements");
static_assert(kBlockM % (16 * kWarps) == 0, "every warp owns whole 16-row tiles");
static_assert(kBlockN % 32 == 0, "dropout draws its bytes for 32 keys at a time");

using namespace device;

constexpr bool kPaged = false, kProbabilities = false;
constexpr bool kBiasTiles = false, kHidesTails = false;  // of the bias; copies leave zeros beyond a sequence
constexpr int kPackedHeads = 1;
constexpr int kThreads = 32 * kWarps;
constexpr int kRowTiles = kBlockM / (16 * kWarps);
constexpr int kRowsPerWarp = 16 * kRowTiles;
constexpr int kScores = kBlockN / 2;  // that a lane holds of 16 queries
constexpr int kSteps = ceil_div(kHeadDim, 16), kStepsV = ceil_div(kHeadDimV, 16);

// Shared memory rows have an odd number of 16-byte chunks, so eight neighbouring rows fall into different banks.
constexpr int kPitch = 8 * (2 * kSteps + 1), kPitchV = 8 * (2 * kStepsV + 1);

//% include "attention/arguments.cuh"
//% include "attention/backward_arguments.cuh"
//% include "attention/visibility.cuh"
//% include "attention/visible_queries.cuh"
//% include "attention/scores.cuh"
//% include "attention/dropout.cuh"
//% include "attention/tiles.cuh"
//% include "attention/products_portable.cuh"
//% include "attention/bias_tile.cuh"
//% include "attention/backward_rows.cuh"
//% include "attention/quad_rows.cuh"
//% include "attention/bias_sum.cuh"

static_assert(kBias, "without a bias there is no gradient of it");

// The sums of a block's columns over its rows; complete in thread c for column c. `shared` has kBlockN floats for
// each warp.
__device__ __forceinline__ float sum_columns(const float (&sums)[kRowTiles][kScores], float* shared) {
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
#pragma unroll
  for (int j = 0; j < kBlockN / 8; ++j) {
#pragma unroll
    for (int c = 0; c < 2; ++c) {
      float x = 0.0f;
#pragma unroll
      for (int t = 0; t < kRowTiles; ++t) x += sums[t][4 * j + c] + sums[t][4 * j + 2 + c];
#pragma unroll
      for (int step = 4; step < 32; step *= 2) x += __shfl_xor_sync(0xffffffffu, x, step);
      if (lane < 4) shared[warp * kBlockN + 8 * j + 2 * lane + c] = x;
    }
  }
  __syncthreads();
  float total = 0.0f;
  if (threadIdx.x < kBlockN) {
    for (int w = 0; w < kWarps; ++w) total += shared[w * kBlockN + threadIdx.x];
  }
  return total;
}

extern "C" __global__ void __launch_bounds__(kThreads, kBlocksPerSm)
    attention_backward_bias(const __grid_constant__ BackwardArguments args) {
  extern __shared__ __align__(16) unsigned char shared[];
  scalar* const tile_q = reinterpret_cast<scalar*>(shared);
  scalar* const tile_dout = tile_q + kBlockM * kPitch;
  scalar* const tile_k = tile_dout + kBlockM * kPitchV;
  scalar* const tile_v = tile_k + kBlockN * kPitch;

  const Arguments& forward = args.forward;
  const BiasTile sum = bias_tile(args, blockIdx.x, kOneRow);
  const int end_query = kOneRow ? forward.seqlen_q : min(sum.query + kBlockM, args.bias_q);
  const int warp = __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x / 32), 0);  // known to be uniform
  const int warp_row = warp * kRowsPerWarp;
  float sums[kRowTiles][kScores] = {};

  zero_padding<kBlockM, kHeadDim, kPitch>(tile_q);
  zero_padding<kBlockM, kHeadDimV, kPitchV>(tile_dout);
  zero_padding<kBlockN, kHeadDim, kPitch>(tile_k);
  zero_padding<kBlockN, kHeadDimV, kPitchV>(tile_v);

  // By all threads.
  const auto add = [&](const Sequence& sequence, int batch, int head, int query) {
    const int kv_head = head / (forward.heads / forward.kv_heads);
    const i64(&stride)[3] = args.dout_stride;
    const scalar* const dout =
        args.dout + batch * stride[0] + (sequence.first_q + query) * stride[1] + head * stride[2];
    __syncthreads();
    copy_tile<kBlockM, kHeadDim, kPitch>(shared_address(tile_q), query_rows(forward, sequence, batch, head, query),
                                         sequence.seqlen_q - query);
    copy_tile<kBlockM, kHeadDimV, kPitchV>(shared_address(tile_dout), StridedRows{dout, stride[1]},
                                           sequence.seqlen_q - query);
    copy_tile<kBlockN, kHeadDim, kPitch>(
        shared_address(tile_k), key_rows(forward, sequence, batch, kv_head, forward.k, forward.k_stride, sum.key),
        sequence.seqlen_k - sum.key);
    copy_tile<kBlockN, kHeadDimV, kPitchV>(
        shared_address(tile_v), key_rows(forward, sequence, batch, kv_head, forward.v, forward.v_stride, sum.key),
        sequence.seqlen_k - sum.key);
    commit_copies();
    wait_copies<0>();
    __syncthreads();
    float s[kRowTiles][kScores], ds[kRowTiles][kScores];
    multiply<kSteps, kPitch>(s, left_lane(tile_q, kPitch, warp_row), right_lane(tile_k, kPitch));
    multiply<kStepsV, kPitchV>(ds, left_lane(tile_dout, kPitchV, warp_row), right_lane(tile_v, kPitchV));
    const bool whole = all_visible(forward, sequence, query, kBlockM, sum.key, kBlockN);
#pragma unroll
    for (int t = 0; t < kRowTiles; ++t) {
      const GradientRows rows = gradient_rows(args, sequence, batch, head, query + warp_row + 16 * t);
      score_gradients(s[t], ds[t], forward, rows, sum.key, whole);
#pragma unroll
      for (int i = 0; i < kScores; ++i) sums[t][i] += ds[t][i];
    }
  };

#pragma unroll 1
  for (int batch = sum.batch; batch < sum.end_batch; ++batch) {
    const Sequence sequence = sequence_of(forward, batch);
    const QueryRange seen = visible_queries(forward, sequence, sum.key, kBlockN);
    const int first = max(sum.query, seen.first / kBlockM * kBlockM), end = min(end_query, seen.end);
#pragma unroll 1
    for (int head = sum.head; head < sum.end_head; ++head) {
#pragma unroll 1
      for (int query = first; query < end; query += kBlockM) add(sequence, batch, head, query);
    }
  }

  if constexpr (kOneRow) {
    __syncthreads();
    const float total = sum_columns(sums, reinterpret_cast<float*>(shared));
    const int key = sum.key + static_cast<int>(threadIdx.x);
    if (threadIdx.x < kBlockN && key < args.bias_k)
      dbias_row(args, sum, 0)[threadIdx.x] = from_f32<dbias_scalar>(total);
  } else {
#pragma unroll
    for (int t = 0; t < kRowTiles; ++t) store_dbias(args, sum, sum.query + warp_row + 16 * t, sums[t]);
  }
}
