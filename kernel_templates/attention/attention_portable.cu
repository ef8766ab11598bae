// out[b, i, h, :] = sum_j softmax_j(scale * q[b, i, h, :] . k[b, j, g, :]) v[b, j, g, :]
// lse[b, h, i]    = ln(sum_j exp(scale * q[b, i, h, :] . k[b, j, g, :]))     with g = h / (heads / kv_heads)
//
//   q    [batch, seqlen_q, heads, kHeadDim]      out [batch, seqlen_q, heads, kHeadDimV]   any strides,
//   k    [batch, seqlen_k, kv_heads, kHeadDim]   lse [batch, heads, seqlen_q] f32          last one 1
//   v    [batch, seqlen_k, kv_heads, kHeadDimV]
//
// Causal: key j is visible to query i when j <= i + seqlen_k - seqlen_q. A row that sees no key has out 0,
// lse -inf. Scores, row sums and output accumulate in f32; probabilities are rounded to scalar before they
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
constexpr bool kHasLse = ${HAS_LSE};
constexpr int kAlignment = ${ALIGNMENT};  // bytes that divide every address and stride

// Schedule: how it is computed. Affects speed, never the result beyond rounding.
constexpr int kBlockM = ${BLOCK_M};
constexpr int kBlockN = ${BLOCK_N};
constexpr int kWarps = ${WARPS};
constexpr int kStages = ${STAGES};                         // tiles of K and of V in shared memory
constexpr bool kQueryInRegisters = ${QUERY_IN_REGISTERS};  // else its fragments are re-read for every tile
constexpr int kBlocksPerSm = ${BLOCKS_PER_SM};             // the register budget is divided by this

static_assert(kHeadDim % 8 == 0 && kHeadDimV % 8 == 0,
              "rows are copied and multiplied in groups of 8 elements");
static_assert(kBlockM % (16 * kWarps) == 0, "every warp owns whole 16-row tiles");
static_assert(kBlockN % 16 == 0, "probabilities are multiplied with v 16 keys at a time");
static_assert(kStages == 1 || kStages == 2, "one tile in use and at most one on its way");

using namespace device;

constexpr int kThreads = 32 * kWarps;
constexpr int kRowTiles = kBlockM / (16 * kWarps);  // 16-row tiles per warp
constexpr int kDimSteps = ceil_div(kHeadDim, 16);   // 16-wide steps of q . k
constexpr int kDimPadded = 16 * kDimSteps;  // columns of q and k in shared memory; beyond kHeadDim: zeros
constexpr int kKeyTiles = kBlockN / 8;      // 8-key tiles of the scores
constexpr int kOutTiles = kHeadDimV / 8;    // 8-column tiles of the output
constexpr int kRowsPerWarp = 16 * kRowTiles;

// Shared memory rows have an odd number of 16-byte chunks, so eight neighbouring rows fall into different
// banks.
__host__ __device__ constexpr int pitch_of(int columns) {
  return 8 * ((columns / 8) | 1);
}
constexpr int kPitchK = pitch_of(kDimPadded);
constexpr int kPitchV = pitch_of(kHeadDimV);
constexpr int kPitchQ = kPitchK > kPitchV ? kPitchK : kPitchV;  // the query buffer also stages the output
constexpr int kTileBytesQ = 2 * kBlockM * kPitchQ;
constexpr int kTileBytesK = 2 * kBlockN * kPitchK;
constexpr int kTileBytesV = 2 * kBlockN * kPitchV;

constexpr float kLog2E = 1.4426950408889634f;
constexpr float kLowest = -3.4028234e38f;
constexpr float kLn2 = 0.6931471805599453f;
// The running maximum is raised only when it has grown by more than this (in powers of two): until then the
// probabilities stay below 2^8, far from overflow, and the output need not be rescaled.
constexpr float kMaxSlack = 8.0f;

//% include "attention/tiles.cuh"
//% include "attention/online_softmax.cuh"

struct Params {
  const scalar *q, *k, *v;
  scalar* out;
  float* lse;
  i64 q_stride[3], k_stride[3], v_stride[3], out_stride[3];  // batch, sequence, head
  i64 lse_stride[3];                                         // batch, head, sequence
  int batch, heads, kv_heads, seqlen_q, seqlen_k;
  float scale;
};

struct Place {
  int batch, head, first_row;
};

// What this block computes. Blocks of one head are neighbours, so its keys and values stay in L2; causal
// blocks start with the longest rows. Called again where the result is stored: reading the block index anew
// keeps it out of the registers of the main loop.
__device__ __forceinline__ Place place_of_block(const Params& params) {
  int block;
  asm volatile("mov.u32 %0, %%ctaid.x;" : "=r"(block));
  const int blocks_m = (params.seqlen_q + kBlockM - 1) / kBlockM;
  const int block_m = kCausal ? blocks_m - 1 - block % blocks_m : block % blocks_m;
  return {block / blocks_m / params.heads, block / blocks_m % params.heads, block_m * kBlockM};
}

extern "C" __global__ void __launch_bounds__(kThreads, kBlocksPerSm)
    attention_portable(const __grid_constant__ Params params) {
  extern __shared__ __align__(16) unsigned char shared[];
  scalar* const tile_q = reinterpret_cast<scalar*>(shared);
  scalar* const tiles_k = reinterpret_cast<scalar*>(shared + kTileBytesQ);
  scalar* const tiles_v = reinterpret_cast<scalar*>(shared + kTileBytesQ + kStages * kTileBytesK);

  const auto [batch, head, first_row] = place_of_block(params);
  const int kv_head = head / (params.heads / params.kv_heads);
  const int shift = params.seqlen_k - params.seqlen_q;  // row i sees keys up to i + shift

  const scalar* const q =
      params.q + batch * params.q_stride[0] + first_row * params.q_stride[1] + head * params.q_stride[2];
  const scalar* const k = params.k + batch * params.k_stride[0] + kv_head * params.k_stride[2];
  const scalar* const v = params.v + batch * params.v_stride[0] + kv_head * params.v_stride[2];

  const int visible = kCausal ? min(params.seqlen_k, first_row + kBlockM + shift) : params.seqlen_k;
  const int tiles = visible > 0 ? (visible + kBlockN - 1) / kBlockN : 0;
  // Tiles from here on contain keys that some row does not see.
  const int first_masked =
      kCausal ? max(0, min(params.seqlen_k, first_row + shift + 1)) / kBlockN : params.seqlen_k / kBlockN;

  const int warp = __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x / 32), 0);  // known to be uniform
  const int lane = threadIdx.x % 32;
  const int warp_row = warp * kRowsPerWarp;

  const auto stage_of = [&](int tile) { return kStages == 1 ? 0 : tile % 2; };
  const auto copy_k = [&](int tile) {
    copy_tile<kBlockN, kHeadDim, kPitchK>(shared_address(tiles_k) + stage_of(tile) * kTileBytesK,
                                          k + tile * kBlockN * params.k_stride[1], params.k_stride[1],
                                          params.seqlen_k - tile * kBlockN);
  };
  const auto copy_v = [&](int tile) {
    copy_tile<kBlockN, kHeadDimV, kPitchV>(shared_address(tiles_v) + stage_of(tile) * kTileBytesV,
                                           v + tile * kBlockN * params.v_stride[1], params.v_stride[1],
                                           params.seqlen_k - tile * kBlockN);
  };

  zero_padding<kBlockM, kPitchQ>(tile_q);
  zero_padding<kStages * kBlockN, kPitchK>(tiles_k);
  if (tiles > 0) {
    copy_tile<kBlockM, kHeadDim, kPitchQ>(shared_address(tile_q), q, params.q_stride[1],
                                          params.seqlen_q - first_row);
    copy_k(tiles - 1);
    if constexpr (kStages > 1) copy_v(tiles - 1);
    commit_copies();
  }

  // Lane addresses inside the tiles: A fragments of q, B fragments of k (rows are keys), B fragments of v
  // (transposed).
  const u32 q_lane = shared_address(tile_q) + 2 * ((warp_row + lane % 16) * kPitchQ + lane / 16 * 8);
  const u32 k_lane = shared_address(tiles_k) + 2 * ((lane % 8 + lane / 16 * 8) * kPitchK + lane / 8 % 2 * 8);
  const u32 v_lane = shared_address(tiles_v) + 2 * (lane % 16 * kPitchV + lane / 16 * 8);

  Accumulator acc = {};
#pragma unroll
  for (int t = 0; t < kRowTiles; ++t) acc.row_max[t][0] = acc.row_max[t][1] = negative_infinity();
  const float scale_log2 = params.scale == 0.0f ? 1.0f : fabsf(params.scale) * kLog2E;

  QueryStep query[kQueryInRegisters ? kDimSteps : 1] = {};
  const auto query_of = [&](int step) {
    if constexpr (kQueryInRegisters) {
      return query[step];
    } else {
      return load_query(q_lane, step);
    }
  };

#pragma unroll 1
  for (int tile = tiles - 1; tile >= 0; --tile) {
    wait_copies<0>();
    __syncthreads();
    if constexpr (kStages == 1) {
      copy_v(tile);
      commit_copies();
    } else if (tile > 0) {
      copy_k(tile - 1);
      copy_v(tile - 1);
      commit_copies();
    }
    if (kQueryInRegisters && tile == tiles - 1) {
#pragma unroll
      for (int step = 0; step < kDimSteps; ++step) query[step] = load_query(q_lane, step);
    }

    Scores scores;
    multiply_keys(scores, query_of, k_lane + stage_of(tile) * kTileBytesK);
    if constexpr (kStages == 1) {
      wait_copies<0>();
      __syncthreads();
      if (tile > 0) {
        copy_k(tile - 1);
        commit_copies();
      }
    }
    if (params.scale <= 0.0f) apply_sign(scores, params.scale);
    if (tile >= first_masked) mask(scores, first_row + warp_row, tile * kBlockN, params.seqlen_k, shift);
    raise_maxima(acc, scores, scale_log2);
    multiply_values(acc, scores, scale_log2, v_lane + stage_of(tile) * kTileBytesV);
  }

  // Normalise into the query buffer. A warp touches only its own rows of it, so a warp barrier is enough.
  const Place place = place_of_block(params);
  __syncwarp();
#pragma unroll
  for (int t = 0; t < kRowTiles; ++t) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int local = warp_row + 16 * t + 8 * r + lane / 4;
      const int row = place.first_row + local;
      const float sum = quad_sum(acc.row_sum[t][r]);
      const float inverse = sum == 0.0f ? 0.0f : 1.0f / sum;
      if constexpr (kHasLse) {
        if (lane % 4 == 0 && row < params.seqlen_q) {
          const float lse = sum == 0.0f ? negative_infinity() : (acc.row_max[t][r] + log2_approx(sum)) * kLn2;
          params.lse[place.batch * params.lse_stride[0] + place.head * params.lse_stride[1] +
                     row * params.lse_stride[2]] = lse;
        }
      }
#pragma unroll
      for (int c = 0; c < kOutTiles; ++c) {
        *reinterpret_cast<u32*>(tile_q + local * kPitchQ + 8 * c + lane % 4 * 2) =
            pack<scalar>(acc.out[t][c][2 * r] * inverse, acc.out[t][c][2 * r + 1] * inverse);
      }
    }
  }
  __syncwarp();

  constexpr int kVec = kAlignment / 2;
  constexpr int kVecsPerRow = kHeadDimV / kVec;
  scalar* const dst = params.out + place.batch * params.out_stride[0] + place.head * params.out_stride[2];
#pragma unroll 4
  for (int index = lane; index < kRowsPerWarp * kVecsPerRow; index += 32) {
    const int local = warp_row + index / kVecsPerRow, column = index % kVecsPerRow * kVec;
    const int row = place.first_row + local;
    if (row < params.seqlen_q)
      store(dst + row * params.out_stride[1] + column, load<scalar, kVec>(tile_q + local * kPitchQ + column));
  }
}
