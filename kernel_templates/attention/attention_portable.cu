// out[b, i, h, :] = sum_j softmax_j(s[b, h, i, j]) v[b, j, g, :],   lse[b, h, i] = ln(sum_j exp(s[b, h, i, j]))
// with the scores s, the keys j that query i sees, dropout and all tensors as sprue/ops.h describes them
// (Attention). Scores, row sums and output accumulate in f32; probabilities are rounded to scalar before they
// meet v.
//
// One block computes kBlockM query rows of one head; it walks over the keys in tiles of kBlockN, last tile
// first, with an online softmax (Dao 2023, arXiv:2307.08691). Each warp owns 16 * kRowTiles rows from the
// scores to the output, so softmax needs no shared memory. Tensor cores through mma.sync, copies through
// cp.async: sm_80 and later.

//% include "device/types.cuh"
//% include "device/vector.cuh"
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
constexpr bool kPipelined = ${PIPELINED};       // q . k of a tile is computed under the softmax of the one before
constexpr int kBlocksPerSm = ${BLOCKS_PER_SM};  // the register budget is divided by this

static_assert(kHeadDim % 8 == 0 && kHeadDimV % 8 == 0,
              "rows are copied and multiplied in groups of 8 elements");
static_assert(kBlockM % (16 * kWarps) == 0, "every warp owns whole 16-row tiles");
static_assert(kBlockM % kPackedHeads == 0, "a tile begins with the first head of a query");
static_assert(kBlockN % 32 == 0, "dropout draws its bytes for 32 keys at a time");
static_assert(kStages == 1 || kStages == 2, "one tile in use and at most one on its way");
static_assert(kStages == 2 || !kPipelined, "keys arrive a tile ahead of values");

using namespace device;

constexpr int kThreads = 32 * kWarps;
constexpr int kRowTiles = kBlockM / (16 * kWarps);  // 16-row tiles per warp
constexpr int kRowsPerWarp = 16 * kRowTiles;
constexpr int kDimSteps = ceil_div(kHeadDim, 16);  // 16-wide steps of q . k
constexpr int kDimPadded = 16 * kDimSteps;  // columns of q and k in shared memory; beyond kHeadDim: zeros
constexpr int kKeyTiles = kBlockN / 8;      // 8-key tiles of the scores
// Columns of out beyond 256 do not fit a warp's registers: two blocks have kBlockV columns each. They overlap
// where kHeadDimV / 2 is no multiple of 8.
constexpr int kValueParts = ceil_div(kHeadDimV, 256);
constexpr int kBlockV = 8 * ceil_div(kHeadDimV / 8, kValueParts);
constexpr int kOutTiles = kBlockV / 8;  // 8-column tiles of the output

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
//% include "attention/online_softmax.cuh"
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

  const int warp = __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x / 32), 0);  // known to be uniform
  const int lane = threadIdx.x % 32;
  const int warp_row = warp * kRowsPerWarp;

  const auto stage_of = [](int tile) { return kStages == 1 ? 0 : tile % 2; };
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

  zero_padding<kBlockM, kHeadDim, kPitchQ>(tile_q);
  zero_padding<kStages * kBlockN, kHeadDim, kPitchK>(tiles_k);
  const int last = tiles.end - 1;
  if (last >= tiles.first) {
    copy_tile<kBlockM, kHeadDim, kPitchQ>(shared_address(tile_q),
                                          query_rows(args, sequence, place.batch, place.head, place.first_row),
                                          sequence.seqlen_q * kPackedHeads - place.first_row);
    copy_k(last);
    if constexpr (kStages > 1 && !kPipelined) copy_v(last);
    commit_copies();
  }

  // Lane addresses inside the tiles: A fragments of q, B fragments of k (rows are keys), B fragments of v
  // (transposed).
  const u32 q_lane = shared_address(tile_q) + 2 * ((warp_row + lane % 16) * kPitchQ + lane / 16 * 8);
  const u32 k_lane = shared_address(tiles_k) + 2 * ((lane % 8 + lane / 16 * 8) * kPitchK + lane / 8 % 2 * 8);
  const u32 v_lane = shared_address(tiles_v) + 2 * (lane % 16 * kPitchV + lane / 16 * 8);

  QueryStep query[kQueryInRegisters ? kDimSteps : 1] = {};
  const auto query_of = [&](int step) {
    if constexpr (kQueryInRegisters) {
      return query[step];
    } else {
      return load_query(q_lane, step);
    }
  };
  const auto load_queries = [&] {
#pragma unroll
    for (int step = 0; kQueryInRegisters && step < kDimSteps; ++step) query[step] = load_query(q_lane, step);
  };

  Accumulator acc;
  acc.clear();
  Scores scores;
  const auto modify = [&](int tile) { modify_scores(scores, args, place, tiles, warp_row, tile); };
  const auto v_tile = [&](int tile) { return v_lane + stage_of(tile) * kTileBytesV; };
  const auto k_tile = [&](int tile) { return k_lane + stage_of(tile) * kTileBytesK; };

  if constexpr (kPipelined) {
    if (last >= tiles.first) {
      wait_copies<0>();
      __syncthreads();
      if (last > tiles.first) copy_k(last - 1);
      copy_v(last);
      commit_copies();
      load_queries();
      multiply_keys(scores, query_of, k_tile(last));
    }
#pragma unroll 1
    for (int tile = last; tile > tiles.first; --tile) {
      wait_copies<0>();
      __syncthreads();
      if (tile - 1 > tiles.first) copy_k(tile - 2);
      copy_v(tile - 1);
      commit_copies();
      modify(tile);
      const auto reuse = [&](int j) { multiply_16_keys(scores, query_of, k_tile(tile - 1), j); };
      accumulate(acc, scores, args, place, warp_row, tile, v_tile(tile), reuse);
    }
    if (last >= tiles.first) {
      wait_copies<0>();
      __syncthreads();
      modify(tiles.first);
      accumulate(acc, scores, args, place, warp_row, tiles.first, v_tile(tiles.first), [](int) {});
    }
  } else {
#pragma unroll 1
    for (int tile = last; tile >= tiles.first; --tile) {
      wait_copies<0>();
      __syncthreads();
      if constexpr (kStages == 1) {
        copy_v(tile);
        commit_copies();
      } else if (tile > tiles.first) {
        copy_k(tile - 1);
        copy_v(tile - 1);
        commit_copies();
      }
      if (tile == last) load_queries();
      multiply_keys(scores, query_of, k_tile(tile));
      if constexpr (kStages == 1) {
        wait_copies<0>();
        __syncthreads();
        if (tile > tiles.first) {
          copy_k(tile - 1);
          commit_copies();
        }
      }
      modify(tile);
      accumulate(acc, scores, args, place, warp_row, tile, v_tile(tile), [](int) {});
    }
  }

  store_output(acc, args, tile_q, warp_row);
}
