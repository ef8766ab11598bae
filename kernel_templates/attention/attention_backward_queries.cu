// dq[b, i, h, :]     = scale sum_j ds[b, h, i, j] k[b, j, g, :]
// slope_rows[b, h, i] = -sum_j ds[b, h, i, j] |p - j|
// with ds and all tensors as sprue/ops/attention_backward.h describes them (ds with cap' in dq alone).
//
// One block computes kBlockM rows of dq of one head; it walks over the tiles of kBlockN keys that its queries see. Each
// warp owns 16 * kRowTiles rows. Nothing is added by atomics: the same call gives the same bits. Tensor cores through
// mma.sync, copies through cp.async: sm_80 and later. Sums are f32; ds is rounded to scalar.

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
constexpr bool kDropout = ${DROPOUT};
constexpr bool kVarlen = ${VARLEN};             // sequences have lengths of their own
constexpr bool kSignedScale = ${SIGNED_SCALE};  // the scale may be less than 1e-20: zero or negative
constexpr int kAlignment = ${ALIGNMENT};        // bytes that divide every address and stride of 16-bit tensors
constexpr bool kSlopeRows = ${SLOPE_ROWS};      // slope_rows is wanted

// Schedule: how it is computed. Affects speed, never the result beyond rounding.
constexpr int kBlockM = ${BLOCK_M};             // queries per block
constexpr int kBlockN = ${BLOCK_N};             // keys per tile
constexpr int kWarps = ${WARPS};
constexpr int kStages = ${STAGES};              // tiles of k and of v in shared memory
constexpr int kBlocksPerSm = ${BLOCKS_PER_SM};  // the register budget is divided by this

static_assert(kHeadDim % 8 == 0 && kHeadDimV % 8 == 0,
              "rows are copied and multiplied in groups of 8 elements");
static_assert(kBlockM % (16 * kWarps) == 0, "every warp owns whole 16-row tiles");
static_assert(kBlockN % 32 == 0, "dropout draws its bytes for 32 keys at a time");
static_assert(kStages == 1 || kStages == 2, "one tile in use and at most one on its way");
static_assert(kAlibi || !kSlopeRows, "only ALiBi has slopes");

using namespace device;

constexpr bool kPaged = false, kProbabilities = false;
constexpr bool kBiasTiles = false, kHidesTails = false;  // of the bias; copies leave zeros beyond a sequence
constexpr int kPackedHeads = 1, kValueParts = 1, kBlockV = kHeadDimV;
constexpr int kThreads = 32 * kWarps;
constexpr int kRowTiles = kBlockM / (16 * kWarps);
constexpr int kRowsPerWarp = 16 * kRowTiles;
constexpr int kScores = kBlockN / 2;  // that a lane holds of 16 queries
constexpr int kSteps = ceil_div(kHeadDim, 16), kStepsV = ceil_div(kHeadDimV, 16);

// Shared memory rows have an odd number of 16-byte chunks, so eight neighbouring rows fall into different banks.
constexpr int kPitch = 8 * (2 * kSteps + 1), kPitchV = 8 * (2 * kStepsV + 1);
constexpr int kTile = kBlockN * kPitch, kTileV = kBlockN * kPitchV;  // elements

//% include "attention/arguments.cuh"
//% include "attention/backward_arguments.cuh"
//% include "attention/visibility.cuh"
//% include "attention/scores.cuh"
//% include "attention/dropout.cuh"
//% include "attention/grid.cuh"
//% include "attention/tiles.cuh"
//% include "attention/products_portable.cuh"
//% include "attention/bias_tile.cuh"
//% include "attention/backward_rows.cuh"

// sums[r] += the distance from query to key, times ds, over this lane's share of a row.
template <int N>
__device__ __forceinline__ void add_distances(float (&sums)[2], const float (&ds)[N], const RowScores& rows,
                                              int key) {
  const int first = key + static_cast<int>(threadIdx.x % 4 * 2);
#pragma unroll
  for (int i = 0; i < N; ++i) {
    const int r = i / 2 % 2, distance = first + i / 4 * 8 + i % 2 - rows.position[r];
    sums[r] = fmaf(ds[i], static_cast<float>(abs(distance)), sums[r]);
  }
}

extern "C" __global__ void __launch_bounds__(kThreads, kBlocksPerSm)
    attention_backward_queries(const __grid_constant__ BackwardArguments args) {
  extern __shared__ __align__(16) unsigned char shared[];
  scalar* const tile_q = reinterpret_cast<scalar*>(shared);
  scalar* const tile_dout = tile_q + kBlockM * kPitch;
  scalar* const tiles_k = tile_dout + kBlockM * kPitchV;
  scalar* const tiles_v = tiles_k + kStages * kTile;

  const Arguments& forward = args.forward;
  const Place place = place_of_block(forward);
  if (kVarlen && place.batch < 0) return;
  const Sequence& sequence = place.sequence;
  const int kv_head = place.head / (forward.heads / forward.kv_heads);
  const TileRange tiles = visible_tiles(forward, sequence, place.first_row, kBlockM);

  const int warp = __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x / 32), 0);  // known to be uniform
  const int warp_row = warp * kRowsPerWarp;

  const auto copy_queries = [&] {
    const int rows = sequence.seqlen_q - place.first_row;
    const i64(&stride)[3] = args.dout_stride;
    const scalar* const dout = args.dout + place.batch * stride[0] +
                               (sequence.first_q + place.first_row) * stride[1] + place.head * stride[2];
    copy_tile<kBlockM, kHeadDim, kPitch>(
        shared_address(tile_q), query_rows(forward, sequence, place.batch, place.head, place.first_row), rows);
    copy_tile<kBlockM, kHeadDimV, kPitchV>(shared_address(tile_dout), StridedRows{dout, stride[1]}, rows);
  };
  const auto copy_keys = [&](int tile) {
    const int key = tile * kBlockN, stage = tile % kStages, rows = sequence.seqlen_k - key;
    copy_tile<kBlockN, kHeadDim, kPitch>(
        shared_address(tiles_k + stage * kTile),
        key_rows(forward, sequence, place.batch, kv_head, forward.k, forward.k_stride, key), rows);
    copy_tile<kBlockN, kHeadDimV, kPitchV>(
        shared_address(tiles_v + stage * kTileV),
        key_rows(forward, sequence, place.batch, kv_head, forward.v, forward.v_stride, key), rows);
    commit_copies();
  };

  zero_padding<kBlockM, kHeadDim, kPitch>(tile_q);
  zero_padding<kBlockM, kHeadDimV, kPitchV>(tile_dout);
  zero_padding<kStages * kBlockN, kHeadDim, kPitch>(tiles_k);
  zero_padding<kStages * kBlockN, kHeadDimV, kPitchV>(tiles_v);
  if (tiles.first < tiles.end) {
    copy_queries();
    copy_keys(tiles.first);
  }

  const u32 q_lane = left_lane(tile_q, kPitch, warp_row), dout_lane = left_lane(tile_dout, kPitchV, warp_row);
  float dq[kRowTiles][kHeadDim / 8][4] = {};
  float distances[kRowTiles][2] = {};

#pragma unroll 1
  for (int tile = tiles.first; tile < tiles.end; ++tile) {
    wait_copies<0>();
    __syncthreads();
    if (kStages == 2 && tile + 1 < tiles.end) copy_keys(tile + 1);
    const int stage = tile % kStages;
    const scalar* const tile_k = tiles_k + stage * kTile;
    const bool whole = tile >= tiles.whole_first && tile < tiles.whole_end;

    float ds[kRowTiles][kScores], dp[kRowTiles][kScores];
    u32 packed[kRowTiles][kScores / 2];
    multiply<kSteps, kPitch>(ds, q_lane, right_lane(tile_k, kPitch));
    multiply<kStepsV, kPitchV>(dp, dout_lane, right_lane(tiles_v + stage * kTileV, kPitchV));
#pragma unroll
    for (int t = 0; t < kRowTiles; ++t) {
      const GradientRows rows =
          gradient_rows(args, sequence, place.batch, place.head, anew(place.first_row) + warp_row + 16 * t);
      score_gradients(ds[t], dp[t], forward, rows, tile * kBlockN, whole);
      if constexpr (kSlopeRows) add_distances(distances[t], dp[t], rows.scores, tile * kBlockN);
    }
    pack(packed, ds);
    accumulate<kPitch>(dq, packed, summed_lane(tile_k, kPitch, 0));
    if (kStages == 1 && tile + 1 < tiles.end) {
      __syncthreads();
      copy_keys(tile + 1);
    }
  }

  const int first = place.first_row + warp_row;
  if constexpr (kSlopeRows) {
#pragma unroll
    for (int t = 0; t < kRowTiles; ++t) {
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        const int row = first + 16 * t + 8 * r + static_cast<int>(threadIdx.x % 32 / 4);
        const float sum = quad_sum(distances[t][r]);
        if (threadIdx.x % 4 == 0 && row < sequence.seqlen_q)
          args.slope_rows[place.batch * args.row_stride[0] + place.head * args.row_stride[1] +
                          (sequence.first_q + row) * args.row_stride[2]] = -sum;
      }
    }
  }
  const i64(&stride)[3] = args.dq_stride;
  store_rows<kPitch>(dq, forward.scale, tile_q + warp_row * kPitch,
                     args.dq + place.batch * stride[0] + (sequence.first_q + first) * stride[1] +
                         place.head * stride[2],
                     stride[1], sequence.seqlen_q - first);
}
