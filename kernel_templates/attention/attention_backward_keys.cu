// dv[b, j, g, :] = sum_{h of g, i} D P[b, h, i, j] dout[b, i, h, :]
// dk[b, j, g, :] = scale sum_{h of g, i} ds[b, h, i, j] q[b, i, h, :]
// with P, D, ds and all tensors as sprue/ops/attention_backward.h describes them (ds with cap').
//
// One block computes kBlockN rows of dk and dv of one head of keys: it walks over the query heads that share it and,
// for each, over the tiles of kBlockM queries that see one of its keys. Each warp owns 16 * kRowTiles keys. Products
// are transposed, keys by queries, so that probabilities and gradients of scores go from one product to the next in
// registers. Nothing is added by atomics: the same call gives the same bits. Tensor cores through mma.sync, copies
// through cp.async: sm_80 and later. Sums are f32; P and ds are rounded to scalar.

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

// Schedule: how it is computed. Affects speed, never the result beyond rounding.
constexpr int kBlockM = ${BLOCK_M};             // queries per tile
constexpr int kBlockN = ${BLOCK_N};             // keys per block
constexpr int kWarps = ${WARPS};
constexpr int kStages = ${STAGES};              // tiles of q and of dout in shared memory
constexpr int kBlocksPerSm = ${BLOCKS_PER_SM};  // the register budget is divided by this

static_assert(kHeadDim % 8 == 0 && kHeadDimV % 8 == 0,
              "rows are copied and multiplied in groups of 8 elements");
static_assert(kBlockN % (16 * kWarps) == 0, "every warp owns whole 16-row tiles");
static_assert(kBlockM % 16 == 0, "dropout draws its bytes for 16 queries at a time");
static_assert(kStages == 1 || kStages == 2, "one tile in use and at most one on its way");

using namespace device;

constexpr bool kPaged = false, kProbabilities = false;
constexpr int kPackedHeads = 1;
constexpr int kThreads = 32 * kWarps;
constexpr int kRowTiles = kBlockN / (16 * kWarps);
constexpr int kRowsPerWarp = 16 * kRowTiles;
constexpr int kScores = kBlockM / 2;  // that a lane holds of 16 keys
constexpr int kScoresAtOnce = kScores;
constexpr bool kBiasTiles = false, kDropMasks = false;
constexpr bool kDeterministic = false;  // of dq, which others compute
constexpr int kSteps = ceil_div(kHeadDim, 16), kStepsV = ceil_div(kHeadDimV, 16);
constexpr int kSection = 2;  // columns of keys whose blocks take turns

// More columns of dk and dv than these do not fit a warp's registers: several blocks have some each. They overlap
// where the columns do not divide evenly.
constexpr int kParts = ceil_div(kHeadDim > kHeadDimV ? kHeadDim : kHeadDimV, 128);
constexpr int kColumns = 8 * ceil_div(kHeadDim / 8, kParts), kColumnsV = 8 * ceil_div(kHeadDimV / 8, kParts);

// Shared memory rows have an odd number of 16-byte chunks, so eight neighbouring rows fall into different banks.
constexpr int kPitch = 8 * (2 * kSteps + 1), kPitchV = 8 * (2 * kStepsV + 1);
constexpr int kTile = kBlockM * kPitch, kTileV = kBlockM * kPitchV;  // elements

//% include "attention/arguments.cuh"
//% include "attention/backward_arguments.cuh"
//% include "attention/visibility.cuh"
//% include "attention/visible_queries.cuh"
//% include "attention/scores.cuh"
//% include "attention/dropout.cuh"
//% include "attention/packed_blocks.cuh"
//% include "attention/tiles.cuh"
//% include "attention/products_portable.cuh"
//% include "attention/bias_tile.cuh"
//% include "attention/backward_columns.cuh"
//% include "attention/key_place.cuh"

extern "C" __global__ void __launch_bounds__(kThreads, kBlocksPerSm)
    attention_backward_keys(const __grid_constant__ BackwardArguments args) {
  extern __shared__ __align__(16) unsigned char shared[];
  scalar* const tile_k = reinterpret_cast<scalar*>(shared);
  scalar* const tile_v = tile_k + kBlockN * kPitch;
  scalar* const tiles_q = tile_v + kBlockN * kPitchV;
  scalar* const tiles_dout = tiles_q + kStages * kTile;
  RowStats* const stats = reinterpret_cast<RowStats*>(tiles_dout + kStages * kTileV);

  const Arguments& forward = args.forward;
  const KeyPlace place = place_of_keys(args);
  if (place.batch < 0) return;
  const Sequence& sequence = place.sequence;
  const int group = forward.heads / forward.kv_heads, first_head = place.kv_head * group;
  const QueryRange queries = visible_queries(forward, sequence, place.key, kBlockN);
  const int first_tile = queries.first / kBlockM;
  const int tiles = queries.end > queries.first ? ceil_div(queries.end, kBlockM) - first_tile : 0;
  const int steps = tiles * group;

  const int warp = __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x / 32), 0);  // known to be uniform
  const int warp_row = warp * kRowsPerWarp;

  const auto rows_from = [&](const scalar* tensor, const i64(&stride)[3], int first, int head, int row) {
    return StridedRows{tensor + place.batch * stride[0] + (first + row) * stride[1] + head * stride[2], stride[1]};
  };
  const auto copy_keys = [&] {
    const int rows = sequence.seqlen_k - place.key;
    copy_tile<kBlockN, kHeadDim, kPitch>(
        shared_address(tile_k),
        rows_from(forward.k, forward.k_stride, sequence.first_k, place.kv_head, place.key), rows);
    copy_tile<kBlockN, kHeadDimV, kPitchV>(
        shared_address(tile_v),
        rows_from(forward.v, forward.v_stride, sequence.first_k, place.kv_head, place.key), rows);
  };
  const auto copy_queries = [&](int step) {
    const int head = first_head + step / tiles, query = (first_tile + step % tiles) * kBlockM;
    const int stage = step % kStages, rows = sequence.seqlen_q - query;
    copy_tile<kBlockM, kHeadDim, kPitch>(shared_address(tiles_q + stage * kTile),
                                         rows_from(forward.q, forward.q_stride, sequence.first_q, head, query), rows);
    copy_tile<kBlockM, kHeadDimV, kPitchV>(
        shared_address(tiles_dout + stage * kTileV),
        rows_from(args.dout, args.dout_stride, sequence.first_q, head, query), rows);
    for (int i = threadIdx.x; i < kBlockM; i += kThreads) {
      const RowStats* const row = args.stats + place.batch * args.row_stride[0] + head * args.row_stride[1] +
                                  (sequence.first_q + query + i) * args.row_stride[2];
      if (i < rows) {
        copy_async<8>(shared_address(stats + stage * kBlockM + i), row, true);
      } else {
        stats[stage * kBlockM + i] = {-negative_infinity(), 0.0f};  // such a row has no probabilities
      }
    }
    commit_copies();
  };

  zero_padding<kBlockN, kHeadDim, kPitch>(tile_k);
  zero_padding<kBlockN, kHeadDimV, kPitchV>(tile_v);
  zero_padding<kStages * kBlockM, kHeadDim, kPitch>(tiles_q);
  zero_padding<kStages * kBlockM, kHeadDimV, kPitchV>(tiles_dout);
  if (steps > 0) {
    copy_keys();
    copy_queries(0);
  }

  const int first_column = min(place.part * kColumns, kHeadDim - kColumns);
  const int first_column_v = min(place.part * kColumnsV, kHeadDimV - kColumnsV);
  const u32 k_lane = left_lane(tile_k, kPitch, warp_row), v_lane = left_lane(tile_v, kPitchV, warp_row);
  float dk[kRowTiles][kColumns / 8][4] = {}, dv[kRowTiles][kColumnsV / 8][4] = {};

#pragma unroll 1
  for (int step = 0; step < steps; ++step) {
    wait_copies<0>();
    __syncthreads();
    if (kStages == 2 && step + 1 < steps) copy_queries(step + 1);
    const int stage = step % kStages, query = (first_tile + step % tiles) * kBlockM;
    const scalar* const tile_q = tiles_q + stage * kTile;
    const scalar* const tile_dout = tiles_dout + stage * kTileV;
    const RowStats* const tile_stats = stats + stage * kBlockM;
    const bool whole = all_visible(forward, sequence, query, kBlockM, place.key, kBlockN);

    float p[kRowTiles][kScores], ds[kRowTiles][kScores];
    u32 packed[kRowTiles][kScores / 2];
    multiply<kSteps, kPitch>(p, k_lane, right_lane(tile_q, kPitch));
#pragma unroll
    for (int t = 0; t < kRowTiles; ++t) {
      const ColumnPlace here{place.batch, first_head + step / tiles, query, place.key + warp_row + 16 * t};
      probabilities(p[t], packed[t], forward, sequence, here, tile_stats, whole);
    }
    accumulate<kPitchV>(dv, packed, summed_lane(tile_dout, kPitchV, first_column_v));
    multiply<kStepsV, kPitchV>(ds, v_lane, right_lane(tile_dout, kPitchV));
#pragma unroll
    for (int t = 0; t < kRowTiles; ++t) score_gradients(ds[t], p[t], forward, tile_stats);
    pack(packed, ds);
    accumulate<kPitch>(dk, packed, summed_lane(tile_q, kPitch, first_column));
    if (kStages == 1 && step + 1 < steps) {
      __syncthreads();
      copy_queries(step + 1);
    }
  }

  const int rows = sequence.seqlen_k - place.key - warp_row;
  const auto target = [&](scalar* tensor, const i64(&stride)[3], int column) {
    return tensor + place.batch * stride[0] + (sequence.first_k + place.key + warp_row) * stride[1] +
           place.kv_head * stride[2] + column;
  };
  store_rows<kPitch>(dk, forward.scale, tile_k + warp_row * kPitch, target(args.dk, args.dk_stride, first_column),
                     args.dk_stride[1], rows);
  store_rows<kPitchV>(dv, kDropout ? forward.keep_scale : 1.0f, tile_v + warp_row * kPitchV,
                      target(args.dv, args.dv_stride, first_column_v), args.dv_stride[1], rows);
}
