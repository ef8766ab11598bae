// dv[b, j, g, :] = sum_{h of g, i} D P[b, h, i, j] dout[b, i, h, :]
// dk[b, j, g, :] = scale sum_{h of g, i} ds[b, h, i, j] q[b, i, h, :]
// dq_sums       += sum_j ds[b, h, i, j] k[b, j, g, :], which attention_backward_dq turns into dq
// with P, D, ds and all tensors as sprue/ops/attention_backward.h describes them (ds with cap').
//
// One block computes kBlockN rows of dk and dv of one head of keys: it walks over the query heads that share it and,
// for each, over the tiles of kBlockM queries that see one of its keys. Scores and dout . v are computed transposed,
// keys by queries. Warps form a grid of keys by queries: a warp computes the scores of its keys and queries, dk and dv
// of its keys and a share of the columns, and dq of its queries and a share of the columns. Its own scores go to the
// products for dk and dv in registers, all others through shared memory. dk and dv have the same bits in every
// repetition, dq_sums have not. Tensor cores through mma.sync, copies through cp.async: sm_80 and later. Sums are f32;
// P and ds are rounded to scalar. Dao 2023, arXiv:2307.08691.

//% include "device/types.cuh"
//% include "device/vector.cuh"
//% include "device/add.cuh"
//% include "device/cp_async.cuh"
//% include "device/copy_barrier.cuh"
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
constexpr int kBlockM = ${BLOCK_M};            // queries per tile
constexpr int kBlockN = ${BLOCK_N};            // keys per block
constexpr int kWarps = ${WARPS};
constexpr int kQueryWarps = ${QUERY_WARPS};    // that share a tile's queries
constexpr int kStages = ${STAGES};             // tiles of q and of dout in shared memory
constexpr int kBuffers = ${BUFFERS};           // tiles of P and of ds in shared memory
constexpr int kBlocksPerSm = ${BLOCKS_PER_SM};  // the register budget is divided by this

static_assert(kHeadDim % 8 == 0 && kHeadDimV % 8 == 0,
              "rows are copied and multiplied in groups of 8 elements");
static_assert(kWarps % kQueryWarps == 0 && kBlockN % (16 * (kWarps / kQueryWarps)) == 0,
              "every warp owns whole tiles of 16 keys");
static_assert(kBlockM <= 32 * kWarps, "a thread copies the statistics of one query");
static_assert(kBlockM % (16 * kQueryWarps) == 0, "dropout draws its bytes for 16 queries at a time");
static_assert(kBuffers == 1 || kStages == 2, "warps that are ahead need the next tile of queries");

using namespace device;

constexpr bool kPaged = false, kProbabilities = false;
constexpr bool kBiasTiles = false, kDropMasks = false;
constexpr bool kDeterministic = false;  // of dq
constexpr int kPackedHeads = 1, kParts = 1;
constexpr int kSection = 8;  // columns of keys whose blocks take turns
constexpr int kThreads = 32 * kWarps;
constexpr int kKeyWarps = kWarps / kQueryWarps;
constexpr int kWarpKeys = kBlockN / kKeyWarps, kWarpQueries = kBlockM / kQueryWarps;
constexpr int kRowTiles = kWarpKeys / 16, kQueryTiles = kWarpQueries / 16;
constexpr int kScores = kWarpQueries / 2;  // that a lane holds of 16 keys
// What changes of scores need of registers is little where few scores are changed at a time.
constexpr bool kFewAtOnce = kSoftcap || kAlibi || kDropout || kSignedScale || device::is_given<bias_scalar>;
constexpr int kScoresAtOnce = kFewAtOnce ? 8 : kScores;
constexpr int kSteps = ceil_div(kHeadDim, 16), kStepsV = ceil_div(kHeadDimV, 16);

// A warp's columns of dk, dv and dq. Where they do not divide evenly the last warps compute some of others', too.
constexpr int kColumns = 8 * ceil_div(kHeadDim / 8, kQueryWarps),
              kColumnsV = 8 * ceil_div(kHeadDimV / 8, kQueryWarps),
              kColumnsQ = 8 * ceil_div(kHeadDim / 8, kKeyWarps);

// Of dq they are computed in two halves where dk, dv and all of them do not fit the registers.
constexpr int kSums = (kRowTiles * (kColumns + kColumnsV) + kQueryTiles * kColumnsQ) / 2;  // that a lane has of all
constexpr bool kHalves = kSums > 176 && kColumnsQ % 16 == 0;
constexpr int kColumnsAtOnce = kHalves ? kColumnsQ / 2 : kColumnsQ;

// Shared memory rows have an odd number of 16-byte chunks, so eight neighbouring rows fall into different banks.
constexpr int kPitch = 8 * (2 * kSteps + 1), kPitchV = 8 * (2 * kStepsV + 1), kPitchS = kBlockM + 8;
constexpr int kTile = kBlockM * kPitch, kTileV = kBlockM * kPitchV, kTileS = kBlockN * kPitchS;  // elements

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
//% include "attention/dq_sums.cuh"
//% include "attention/exchanged_scores.cuh"

extern "C" __global__ void __launch_bounds__(kThreads, kBlocksPerSm)
    attention_backward_fused(const __grid_constant__ BackwardArguments args) {
  extern __shared__ __align__(16) unsigned char shared[];
  scalar* const tile_k = reinterpret_cast<scalar*>(shared);
  scalar* const tile_v = tile_k + kBlockN * kPitch;
  scalar* const tiles_q = tile_v + kBlockN * kPitchV;
  scalar* const tiles_dout = tiles_q + kStages * kTile;
  scalar* const tiles_p = tiles_dout + kStages * kTileV;
  scalar* const tiles_ds = tiles_p + kBuffers * kTileS;
  RowStats* const stats = reinterpret_cast<RowStats*>(tiles_ds + kBuffers * kTileS);
  const u32 copied = shared_address(stats + kStages * kBlockM);  // a barrier for every stage

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
  const int query_warp = warp % kQueryWarps, key_warp = warp / kQueryWarps;
  const int warp_row = key_warp * kWarpKeys, warp_query = query_warp * kWarpQueries;

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

  // The next tile of q, dout and the statistics.
  StridedRows next_q, next_dout;
  const RowStats* next_stats;
  const auto start_head = [&](int head) {
    const int first = anew(first_tile) * kBlockM;  // what is needed once a head stays in no register
    next_q = rows_from(forward.q, forward.q_stride, sequence.first_q, head, first);
    next_dout = rows_from(args.dout, args.dout_stride, sequence.first_q, head, first);
    next_stats = args.stats + place.batch * args.row_stride[0] + head * args.row_stride[1] +
                 (sequence.first_q + first) * args.row_stride[2];
  };
  const auto copy_queries = [&](int stage, int rows) {
    const int thread = anew(threadIdx.x);
    copy_tile<kBlockM, kHeadDim, kPitch>(shared_address(tiles_q + stage * kTile), next_q, rows);
    copy_tile<kBlockM, kHeadDimV, kPitchV>(shared_address(tiles_dout + stage * kTileV), next_dout, rows);
    if (thread < kBlockM) {
      RowStats* const dst = stats + stage * kBlockM + thread;
      if (thread < rows) {
        copy_async<8>(shared_address(dst), next_stats + thread * args.row_stride[2], true);
      } else {
        *dst = {-negative_infinity(), 0.0f};  // such a row has no probabilities
      }
    }
    next_q.advance(kBlockM);
    next_dout.advance(kBlockM);
    next_stats += kBlockM * args.row_stride[2];
    if constexpr (kStages == 2) {
      arrive_copied(copied + 8 * stage);
    } else {
      commit_copies();
    }
  };

  zero_padding<kBlockN, kHeadDim, kPitch>(tile_k);
  zero_padding<kBlockN, kHeadDimV, kPitchV>(tile_v);
  zero_padding<kStages * kBlockM, kHeadDim, kPitch>(tiles_q);
  zero_padding<kStages * kBlockM, kHeadDimV, kPitchV>(tiles_dout);
  if constexpr (kStages == 2) {
    if (threadIdx.x < kStages) init_copy_barrier(copied + 8 * threadIdx.x, kThreads);
    __syncthreads();
  }
  if (steps > 0) {
    copy_keys();
    start_head(first_head);
    copy_queries(0, sequence.seqlen_q - first_tile * kBlockM);
  }

  const int own_column = query_warp * kColumns, own_column_v = query_warp * kColumnsV,
            own_column_q = key_warp * kColumnsQ;
  const int first_column = first_of<kHeadDim, kColumns, kQueryWarps>(own_column),
            first_column_v = first_of<kHeadDimV, kColumnsV, kQueryWarps>(own_column_v),
            first_column_q = first_of<kHeadDim, kColumnsQ, kKeyWarps>(own_column_q);
  const u32 k_lane = left_lane(tile_k, kPitch, warp_row), v_lane = left_lane(tile_v, kPitchV, warp_row);
  float dk[kRowTiles][kColumns / 8][4] = {}, dv[kRowTiles][kColumnsV / 8][4] = {};
  const auto sums_of = [&](int head) {
    return args.dq_sums + tile_of_sums(forward, place.batch, head, anew(first_tile)) * (kBlockM * kSumColumns);
  };
  float* sums = sums_of(first_head);
  int head = first_head, tile = first_tile;

#pragma unroll 1
  for (int step = 0; step < steps; ++step) {
    const int stage = step % kStages, buffer = step % kBuffers, query = tile * kBlockM;
    const bool is_last = tile + 1 == first_tile + tiles;  // of the head
    const int next_tile = is_last ? first_tile : tile + 1;
    if (is_last) start_head(head + 1);
    const scalar* const tile_q = tiles_q + stage * kTile;
    const scalar* const tile_dout = tiles_dout + stage * kTileV;
    scalar* const tile_p = tiles_p + buffer * kTileS;
    scalar* const tile_ds = tiles_ds + buffer * kTileS;
    const RowStats* const warp_stats = stats + stage * kBlockM + warp_query;
    if constexpr (kStages == 2) {
      wait_copied(copied + 8 * stage, step / 2 % 2);
    } else {
      wait_copies<0>();
      __syncthreads();
    }

    const auto add_to_dv = [&](const u32(&p)[kRowTiles][kScores / 2], int part) {
      accumulate<kPitchV>(dv, p, summed_lane(tile_dout + part * kWarpQueries * kPitchV, kPitchV, first_column_v));
    };
    const auto add_to_dk = [&](const u32(&ds)[kRowTiles][kScores / 2], int part) {
      accumulate<kPitch>(dk, ds, summed_lane(tile_q + part * kWarpQueries * kPitch, kPitch, first_column));
    };
    {
      const bool whole = all_visible(forward, sequence, query + warp_query, kWarpQueries, place.key + warp_row,
                                     kWarpKeys);
      float p[kRowTiles][kScores], ds[kRowTiles][kScores];
      u32 packed_p[kRowTiles][kScores / 2], packed_ds[kRowTiles][kScores / 2];
      const u32 q_lane = right_lane(tile_q + warp_query * kPitch, kPitch),
                dout_lane = right_lane(tile_dout + warp_query * kPitchV, kPitchV);
      multiply<kSteps, kPitch>(p, k_lane, q_lane);
      if constexpr (kFewAtOnce) {
        // Of a few scores at a time all that is needed: then little is needed at a time.
        multiply<kStepsV, kPitchV>(ds, v_lane, dout_lane);
#pragma unroll
        for (int t = 0; t < kRowTiles; ++t) {
#pragma unroll
          for (int first = 0; first < kScores; first += 8) {
            asm volatile("" ::: "memory");  // no loads for all of them ahead
            const ColumnPlace here{place.batch, head, query + warp_query + 2 * first, place.key + warp_row + 16 * t};
            auto& some_p = reinterpret_cast<float(&)[8]>(p[t][first]);
            auto& some_ds = reinterpret_cast<float(&)[8]>(ds[t][first]);
            probabilities(some_p, reinterpret_cast<u32(&)[4]>(packed_p[t][first / 2]), forward, sequence, here,
                          warp_stats + 2 * first, whole);
            score_gradients(some_ds, some_p, forward, warp_stats + 2 * first);
#pragma unroll
            for (int i = 0; i < 4; ++i)
              packed_ds[t][first / 2 + i] = device::pack<scalar>(some_ds[2 * i], some_ds[2 * i + 1]);
          }
        }
        add_to_dv(packed_p, query_warp);
      } else {
#pragma unroll
        for (int t = 0; t < kRowTiles; ++t) {
          const ColumnPlace here{place.batch, head, query + warp_query, place.key + warp_row + 16 * t};
          probabilities(p[t], packed_p[t], forward, sequence, here, warp_stats, whole);
        }
        multiply<kStepsV, kPitchV>(ds, v_lane, dout_lane);
        add_to_dv(packed_p, query_warp);
#pragma unroll
        for (int t = 0; t < kRowTiles; ++t) score_gradients(ds[t], p[t], forward, warp_stats);
        pack(packed_ds, ds);
      }
      if (kStages == 2 && kBuffers == 1) __syncthreads();  // what was multiplied a tile ago is done with
      store_scores(tile_p + warp_row * kPitchS + warp_query, packed_p);
      store_scores(tile_ds + warp_row * kPitchS + warp_query, packed_ds);
      add_to_dk(packed_ds, query_warp);
    }
    // All of P and ds is there; and what was multiplied a tile ago is done with.
    __syncthreads();

#pragma unroll
    for (int first = 0; first < kColumnsQ; first += kColumnsAtOnce) {
      constexpr int kTiles = kColumnsAtOnce / 8;
      float dq[kQueryTiles][kTiles][4] = {};
      multiply_gradients(dq, right_lane(tile_ds + warp_query, kPitchS),
                         summed_lane(tile_k, kPitch, first_column_q + first));
      if (kStages == 2 && first == 0)
        copy_queries(1 - stage, step + 1 < steps ? sequence.seqlen_q - next_tile * kBlockM : 0);
#pragma unroll
      for (int t = 0; t < kQueryTiles; ++t) {
#pragma unroll
        for (int c = 0; c < kTiles; ++c) {
          const int column = first_column_q + first + 8 * c;
          if (kColumnsQ * kKeyWarps == kHeadDim || column >= own_column_q)
            add_to_sums(part_of_sums(sums, warp_query / 16 + t, column / 8), dq[t][c]);
        }
      }
    }
#pragma unroll
    for (int other = 1; other < kQueryWarps; ++other) {
      const int part = (query_warp + other) % kQueryWarps;
      u32 packed[kRowTiles][kScores / 2];
      load_scores(packed, left_lane(tile_p + part * kWarpQueries, kPitchS, warp_row));
      add_to_dv(packed, part);
      load_scores(packed, left_lane(tile_ds + part * kWarpQueries, kPitchS, warp_row));
      add_to_dk(packed, part);
    }
    if (kStages == 1 && step + 1 < steps) {
      __syncthreads();
      copy_queries(0, sequence.seqlen_q - next_tile * kBlockM);
    }
    sums += kBlockM * kSumColumns;
    if (is_last) sums = sums_of(++head);
    tile = next_tile;
  }

  if (kStages == 2 && steps > 0) wait_copied(copied + 8 * (steps % 2), steps / 2 % 2);  // for no tile, after the last
  __syncthreads();  // k is done with
  const KeyPlace here = place_of_keys(args);
  const int rows = here.sequence.seqlen_k - here.key - warp_row;
  const auto target = [&](scalar* tensor, const i64(&stride)[3], int column) {
    return tensor + here.batch * stride[0] + (here.sequence.first_k + here.key + warp_row) * stride[1] +
           here.kv_head * stride[2] + column;
  };
  store_rows<kPitch>(dk, forward.scale, tile_k + warp_row * kPitch + first_column,
                     target(args.dk, args.dk_stride, first_column), args.dk_stride[1], rows,
                     own_column - first_column);
  store_rows<kPitchV>(dv, kDropout ? forward.keep_scale : 1.0f, tile_v + warp_row * kPitchV + first_column_v,
                      target(args.dv, args.dv_stride, first_column_v), args.dv_stride[1], rows,
                      own_column_v - first_column_v);
}
