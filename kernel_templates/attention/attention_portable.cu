// out[b, i, h, :] = sum_j softmax_j(s[b, h, i, j]) v[b, j, g, :],   lse[b, h, i] = ln(sum_j exp(s[b, h, i, j]))
// with the scores s, the keys j that query i sees, dropout and all tensors as sprue/ops.h describes them
// (Attention). Scores, row sums and output accumulate in f32; probabilities are rounded to scalar before they
// meet v.
//
// One block computes kBlockM query rows of one head; it walks over the keys in tiles of kBlockN, last tile
// first, with an online softmax (Dao 2023, arXiv:2307.08691). Each warp owns 16 * kRowTiles rows from the
// scores to the output, so softmax needs no shared memory. With kKeyParts = 2 two warps share twice as many rows
// and exchange their probabilities: fragments of k and v then serve twice as many multiplications, where a warp
// cannot hold 32 rows of the output. Tensor cores through mma.sync, copies through cp.async: sm_80 and later.
//
// An mma.sync takes a scheduler of an H100 six cycles, and every other instruction costs one: what counts is how
// few there are between the multiplications. Hence maxima that are not looked for (online_softmax.cuh), addresses
// that stay in registers, and copies that lie between the multiplications (tile_stream.cuh).

//% include "device/types.cuh"
//% include "device/vector.cuh"
//% include "device/copy_barrier.cuh"
//% include "device/cp_async.cuh"
//% include "device/mma.cuh"
//% include "device/reduce.cuh"

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
constexpr bool kSinks = ${SINKS};
constexpr bool kDropout = ${DROPOUT};
constexpr bool kProbabilities = ${PROBABILITIES};  // they are written out
constexpr bool kVarlen = ${VARLEN};                // sequences have lengths of their own
constexpr bool kPaged = ${PAGED};                  // keys and values are reached through a block table
constexpr int kPackedHeads = ${PACKED_HEADS};      // tile row r is query r / kPackedHeads, head r % kPackedHeads
constexpr bool kSignedScale = ${SIGNED_SCALE};     // the scale may be less than 1e-20: zero or negative
constexpr bool kHasLse = ${HAS_LSE};
constexpr int kAlignment = ${ALIGNMENT};  // bytes that divide every address and stride of q, k, v and out

// Schedule: how it is computed. Affects speed, never the result beyond rounding.
constexpr int kBlockM = ${BLOCK_M};
constexpr int kBlockN = ${BLOCK_N};
constexpr int kWarps = ${WARPS};
constexpr int kStages = ${STAGES};                         // tiles of K and of V in shared memory
constexpr bool kQueryInRegisters = ${QUERY_IN_REGISTERS};  // else its fragments are re-read for every tile
constexpr int kKeyParts = ${KEY_PARTS};                    // warps that share rows, each with a part of the keys
constexpr int kBlocksPerSm = ${BLOCKS_PER_SM};             // the register budget is divided by this

static_assert(kHeadDim % 8 == 0 && kHeadDimV % 8 == 0,
              "rows are copied and multiplied in groups of 8 elements");
static_assert(kBlockM * kKeyParts % (16 * kWarps) == 0, "every warp owns whole 16-row tiles");
static_assert(kBlockM % kPackedHeads == 0, "a tile begins with the first head of a query");
static_assert(kBlockN % (32 * kKeyParts) == 0, "dropout draws its bytes for 32 keys at a time");
static_assert(kStages == 1 || kStages == 2, "one tile in use and at most one on its way");

using namespace device;

constexpr int kThreads = 32 * kWarps;
constexpr int kRowTiles = kBlockM * kKeyParts / (16 * kWarps);  // 16-row tiles per warp
constexpr int kRowsPerWarp = 16 * kRowTiles;
constexpr int kDimSteps = ceil_div(kHeadDim, 16);  // 16-wide steps of q . k
constexpr int kDimPadded = 16 * kDimSteps;  // columns of q and k in shared memory; beyond kHeadDim: zeros
constexpr int kKeyTiles = kBlockN / kKeyParts / 8;  // 8-key tiles of a warp's scores
// Columns of out beyond 256 do not fit a warp's registers: two blocks have kBlockV columns each. They overlap
// where kHeadDimV / 2 is no multiple of 8.
constexpr int kValueParts = ceil_div(kHeadDimV, 256);
constexpr int kBlockV = 8 * ceil_div(kHeadDimV / 8, kValueParts);
constexpr int kOutTiles = kBlockV / kKeyParts / 8;  // 8-column tiles of a warp's output
static_assert(kBlockV % (8 * kKeyParts) == 0, "warps that share rows have as many columns each");

// Shared memory rows have an odd number of 16-byte chunks, so eight neighbouring rows fall into different
// banks.
__host__ __device__ constexpr int pitch_of(int columns) {
  return 8 * ((columns / 8) | 1);
}
constexpr int kPitchK = pitch_of(kDimPadded);
constexpr int kPitchV = pitch_of(kBlockV);
constexpr int kPitchQ = kPitchK > kPitchV ? kPitchK : kPitchV;  // the query buffer also stages the output
constexpr int kTileBytesQ = 2 * kBlockM * kPitchQ;
constexpr int kTileBytesK = 2 * kBlockN * kPitchK;
constexpr int kTileBytesV = 2 * kBlockN * kPitchV;

//% include "attention/arguments.cuh"
//% include "attention/visibility.cuh"
//% include "attention/scores.cuh"
//% include "attention/dropout.cuh"
//% include "attention/grid.cuh"
//% include "attention/tiles.cuh"
//% include "attention/tile_stream.cuh"
//% include "attention/online_softmax.cuh"
//% include "attention/exchanged_probabilities.cuh"
//% include "attention/output_portable.cuh"

extern "C" __global__ void __launch_bounds__(kThreads, kBlocksPerSm)
    attention_portable(const __grid_constant__ Arguments args) {
  extern __shared__ __align__(16) unsigned char shared[];
  scalar* const tile_q = reinterpret_cast<scalar*>(shared);
  scalar* const tiles_k = reinterpret_cast<scalar*>(shared + kTileBytesQ);
  scalar* const tiles_v = reinterpret_cast<scalar*>(shared + kTileBytesQ + kStages * kTileBytesK);

  const Place place = place_of_block(args);
  if (kVarlen && place.batch < 0) return;
  const Sequence& sequence = place.sequence;
  const int kv_head = place.head / (args.heads / args.kv_heads);
  const TileRange tiles =
      visible_tiles(args, sequence, place.first_row / kPackedHeads, kBlockM / kPackedHeads);
  const int last = tiles.end - 1;

  const int warp = __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x / 32), 0);  // known to be uniform
  const int lane = threadIdx.x % 32;
  const int warp_row = warp / kKeyParts * kRowsPerWarp;
  const int part = warp % kKeyParts;

  const auto stage_of = [](int tile) { return kStages == 1 ? 0 : tile & 1; };
  const auto copy_k = [&](int tile) {
    copy_tile<kBlockN, kHeadDim, kPitchK>(
        shared_address(tiles_k) + stage_of(tile) * kTileBytesK,
        key_rows(args, sequence, place.batch, anew(kv_head), args.k, args.k_stride, tile * kBlockN),
        sequence.seqlen_k - tile * kBlockN);
  };
  const auto copy_v = [&](int tile) {
    copy_tile<kBlockN, kBlockV, kPitchV>(
        shared_address(tiles_v) + stage_of(tile) * kTileBytesV,
        key_rows(args, sequence, place.batch, anew(kv_head), args.v + place.first_column, args.v_stride,
                 tile * kBlockN),
        sequence.seqlen_k - tile * kBlockN);
  };

  TileBarriers barriers;
  ProbabilityExchange exchange(shared_address(tiles_v) + kStages * kTileBytesV, warp);
  zero_padding<kBlockM, kHeadDim, kPitchQ>(tile_q);
  zero_padding<kStages * kBlockN, kHeadDim, kPitchK>(tiles_k);
  if (last >= tiles.first) {
    copy_tile<kBlockM, kHeadDim, kPitchQ>(shared_address(tile_q),
                                          query_rows(args, sequence, place.batch, place.head, place.first_row),
                                          sequence.seqlen_q * kPackedHeads - place.first_row);
    copy_k(last);
    if constexpr (kStages > 1) copy_v(last);
    barriers.copies_issued(0);
  }

  // Lane addresses inside the tiles: A fragments of q, B fragments of k (rows are keys), B fragments of v
  // (transposed).
  const u32 q_lane = in_register(shared_address(tile_q) + 2 * ((warp_row + lane % 16) * kPitchQ + lane / 16 * 8));
  const u32 k_lane = in_register(shared_address(tiles_k) + part * 16 * kKeyTiles * kPitchK +
                          2 * ((lane % 8 + lane / 16 * 8) * kPitchK + lane / 8 % 2 * 8));
  const u32 v_lane = in_register(shared_address(tiles_v) + 2 * (lane % 16 * kPitchV + lane / 16 * 8 + part * 8 * kOutTiles));

  QueryStep query[kQueryInRegisters ? kDimSteps : 1] = {};
  const auto query_of = [&](int step) {
    if constexpr (kQueryInRegisters) {
      return query[step];
    } else {
      return load_query(q_lane, step);
    }
  };
  if (kQueryInRegisters && last >= tiles.first) {
    barriers.wait_for_copies(0);
#pragma unroll
    for (int step = 0; step < kDimSteps; ++step) query[step] = load_query(q_lane, step);
  }

  NextTile next{
      KeyStream(shared_address(tiles_k),
                strided_rows(sequence, place.batch, kv_head, args.k, args.k_stride, last * kBlockN)),
      ValueStream(shared_address(tiles_v), strided_rows(sequence, place.batch, kv_head, args.v + place.first_column,
                                                        args.v_stride, last * kBlockN))};
  if constexpr (kHeadDim == kBlockV && kPitchK == kPitchV)
    next.values.dst = next.keys.dst + kStages * kTileBytesK;  // a register less

  Accumulator acc;
  acc.clear();
  u32 unknown = kAllRows;  // the rows whose maximum is to be looked for
  const int last_query = (place.first_row + warp_row + kRowsPerWarp - 1) / kPackedHeads;  // of the warp
  const int keys_end = visible_keys(args, sequence, last_query).end;
#pragma unroll 1
  for (int tile = last; tile >= tiles.first; --tile) {
    barriers.wait_for_copies(last - tile);
    const bool more = tile > tiles.first, sees = kSeesAll || tile * kBlockN < keys_end;
    const u32 k_tile = k_lane + stage_of(tile) * kTileBytesK, v_tile = v_lane + stage_of(tile) * kTileBytesV;
    if constexpr (kStages == 1) {
      copy_v(tile);
      commit_copies();
    } else if (!kStreams && more) {
      copy_k(tile - 1);
      copy_v(tile - 1);
      commit_copies();
    }
    const auto copy_next = [&](int step) {
      if (step == NextTile::kFirstStep) barriers.wait_for_reads(last - tile + 1);
      next.copy(step, stage_of(tile - 1), more);
    };

    const int key = tile * kBlockN + part * 8 * kKeyTiles;  // the warp's first one
    Scores scores;
    Probabilities p;
    const auto exponentiate_at = [&](int j, float (&sum)[kRowTiles][2]) {
      exponentiate(p, sum, scores, j, acc.row_max, args, place, warp_row, key);
    };
    if constexpr (kStreams) {
      if (sees) {
        float sum[kRowTiles][2];
#pragma unroll 1
        for (bool again = false;; again = true) {
          multiply_keys(scores, query_of, k_tile, copy_next);
          modify_scores(scores, args, place, tiles, warp_row, tile, key);
          if (__any_sync(0xffffffffu, unknown != 0))
            unknown = raise_maxima(acc, scores, softmax_scale(args), unknown);
#pragma unroll
          for (int t = 0; t < kRowTiles; ++t) sum[t][0] = sum[t][1] = 0.0f;
#pragma unroll
          for (int j = 0; j < kKeyTiles; j += kTilesAtOnce) exponentiate_at(j, sum);
          if (again || !__any_sync(0xffffffffu, any_beyond(sum))) break;
          unknown = rows_beyond(sum);
          next.back();
        }
#pragma unroll
        for (int t = 0; t < kRowTiles; ++t) {
#pragma unroll
          for (int r = 0; r < 2; ++r) acc.row_sum[t][r] += sum[t][r];
        }
      } else {
#pragma unroll
        for (int step = 0; step < kDimSteps; ++step) copy_next(step);
      }
      if (more) barriers.copies_issued(last - tile + 1);
      if (sees) {
        if constexpr (kKeyParts > 1) exchange.give(p, acc.row_max);
        const u32 v_own = v_tile + part * 16 * kKeyTiles * kPitchV;
#pragma unroll
        for (int j = 0; j < kKeyTiles; j += 2) multiply_values(acc, p, v_own, j);
        if constexpr (kKeyParts > 1) {
          float row_max[kRowTiles][2];
          exchange.take(p, row_max);
          if (__any_sync(0xffffffffu, differ(acc.row_max, row_max))) unknown = unite_maxima(acc, p, row_max);
          const u32 v_other = v_tile + (part ^ 1) * 16 * kKeyTiles * kPitchV;
#pragma unroll
          for (int j = 0; j < kKeyTiles; j += 2) multiply_values(acc, p, v_other, j);
        }
      }
      barriers.reads_done(last - tile);
    } else {
      if (sees) multiply_keys(scores, query_of, k_tile, [](int) {});
      if constexpr (kStages == 1) {
        wait_copies<0>();
        __syncthreads();
        if (more) {
          copy_k(tile - 1);
          commit_copies();
        }
      }
      if (sees) {
        modify_scores(scores, args, place, tiles, warp_row, tile, key);
        const u32 grown = rows_grown(acc, scores, softmax_scale(args));
        if (__any_sync(0xffffffffu, grown != 0)) raise_maxima(acc, scores, softmax_scale(args), quad_or(grown));
#pragma unroll
        for (int j = 0; j < kKeyTiles; j += kTilesAtOnce) {
          exponentiate_at(j, acc.row_sum);
#pragma unroll
          for (int i = j; i < j + kTilesAtOnce; i += 2) multiply_values(acc, p, v_tile, i);
        }
      }
    }
  }

  if constexpr (kKeyParts > 1) {
    float others[kRowTiles][2];
#pragma unroll
    for (int t = 0; t < kRowTiles; ++t) {
#pragma unroll
      for (int r = 0; r < 2; ++r) others[t][r] = acc.row_sum[t][r];
    }
    exchange.exchange(others);
#pragma unroll
    for (int t = 0; t < kRowTiles; ++t) {
#pragma unroll
      for (int r = 0; r < 2; ++r) acc.row_sum[t][r] += others[t][r];
    }
  }
  store_output(acc, args, tile_q, warp_row, part);
}
