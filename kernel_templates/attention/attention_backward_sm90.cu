// dv[b, j, g, :] = sum_{h of g, i} D P[b, h, i, j] dout[b, i, h, :]
// dk[b, j, g, :] = scale sum_{h of g, i} ds[b, h, i, j] q[b, i, h, :]
// dq_sums       += sum_j ds[b, h, i, j] k[b, j, g, :], which attention_backward_dq turns into dq
// dbias[b', h, i, j] = ds[b, h, i, j], or the sum of two sequences' that share a bias; only if kDbias
// with P, D, ds and all tensors as sprue/ops/attention_backward.h describes them (ds with cap').
//
// One block computes kBlockN rows of dk and dv of one head of keys: it walks over the query heads that share
// it and, for each, over the tiles of kBlockM queries that see one of its keys. Scores and dout . v are
// computed transposed, keys by queries. Two consumer warpgroups own 64 keys each: P and ds go from one
// product to the next in registers; ds also goes through shared memory to the product with k, which follows
// one tile later, and from there by bulk reductions to dq_sums. While one warpgroup computes P and ds the
// other has the tensor cores. Beyond 128 columns ds also comes to its product with q from shared memory, and
// dq_sums are added to from registers. Where that takes too many registers both own the same 64 keys and half of
// the columns each; one computes P, the other ds, both in shared memory. dk and dv have the same bits in every
// repetition, dq_sums if kDeterministic. sm_90a only. Sums are f32; P and ds are rounded to scalar. Shah et
// al. 2024, arXiv:2407.08608.

//% include "device/types.cuh"
//% include "device/vector.cuh"
//% include "device/add.cuh"
//% include "device/mbarrier.cuh"
//% include "device/mma.cuh"
//% include "device/shared.cuh"
//% include "device/tma.cuh"
//% include "device/wgmma.cuh"
//% include "device/dependent.cuh"

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
constexpr bool kVarlen = ${VARLEN};                // sequences have lengths of their own
constexpr bool kSignedScale = ${SIGNED_SCALE};     // the scale may be less than 1e-20: zero or negative
constexpr bool kDeterministic = ${DETERMINISTIC};  // blocks add to dq in a fixed order
constexpr bool kBiasMap = ${BIAS_MAP};             // the bias is a tensor of scalar that tensor maps describe
constexpr bool kDbias = ${DBIAS};                  // its gradient is wanted, a tensor alike

// Schedule: how it is computed. Affects speed, never the result beyond rounding.
constexpr int kBlockM = ${BLOCK_M};  // queries per tile
constexpr int kBlockN = ${BLOCK_N};  // keys per block: of 128 a warpgroup owns 64, of 64 half of the columns

static_assert(kHeadDim % 8 == 0 && kHeadDimV % 8 == 0,
              "tiles are copied and multiplied in groups of 8 elements");
static_assert(kBlockM == 64 || kBlockM == 128,
              "a product for dq has 64 queries and all columns, or half of them");
static_assert(kBlockN == 128 || (kBlockN == 64 && kBlockM == 64), "a product for dk has 64 keys");

static_assert(!kBiasMap || (device::is_given<bias_scalar> && sizeof(bias_scalar) == sizeof(scalar)),
              "tiles of the bias are read as those of q are");

using namespace device;

constexpr bool kProbabilities = false;
constexpr int kPackedHeads = 1, kParts = 1;
constexpr int kSection = kDeterministic ? 2 : 4;  // columns of keys whose blocks take turns
constexpr int kConsumers = 2;
constexpr int kStages = 2;  // tiles of q and of dout: a warpgroup waits for the next one before it is done with this
constexpr int kThreads = 128 * (1 + kConsumers);
constexpr bool kOwnsColumns = kBlockN == 64;  // a warpgroup; else it owns keys
constexpr int kMostColumns = kHeadDim > kHeadDimV ? kHeadDim : kHeadDimV;
// Whoever owns keys has all columns of dk and dv, and beyond 64 of them needs most registers.
constexpr bool kWideKeys = !kOwnsColumns && kMostColumns > 64;
constexpr bool kWidestKeys = !kOwnsColumns && kMostColumns > 128;
constexpr bool kAddsFromRegisters = kOwnsColumns || kWidestKeys;  // to dq

// Columns of tiles in shared memory; those beyond the tensors' are zeros. A warpgroup multiplies
// kQueryColumns of k, which must be whole panels.
constexpr int kColumns = round_up(kHeadDim, 32), kColumnsV = round_up(kHeadDimV, kOwnsColumns ? 32 : 16);
constexpr int kQueryColumns = kBlockM == 64 ? kColumns / 2 : kColumns;
constexpr int kDimSteps = ceil_div(kHeadDim, 16), kDimStepsV = ceil_div(kHeadDimV, 16);

constexpr int kSwizzleQ = swizzle_of(kOwnsColumns ? kColumns / 2 : kColumns),
              kSwizzleK = swizzle_of(kQueryColumns);
constexpr int kSwizzleV = swizzle_of(kOwnsColumns ? kColumnsV / 2 : kColumnsV);  // and of dout
constexpr int kSwizzleS = 128;                                                   // of gradients of scores

constexpr int kKeyBytes = 2 * kBlockN * kColumns, kValueBytes = 2 * kBlockN * kColumnsV;
constexpr int kQueryBytes = 2 * kBlockM * kColumns, kDoutBytes = 2 * kBlockM * kColumnsV;
constexpr int kGradientBytes = 2 * kBlockN * kBlockM;
constexpr int kScores = kBlockM / 2;               // that a thread has of a warpgroup's 64 keys
constexpr int kSumBytes = 4 * 64 * kQueryColumns;  // of one warpgroup
constexpr int kStatsBytes = 8 * kBlockM;

// A tile of the bias, queries by keys, comes with its queries where shared memory and registers have room for it.
constexpr bool kBiasTiles =
    kBiasMap && (kOwnsColumns         ? kHeadDim + kHeadDimV <= 416
                 : kWidestKeys        ? !kVarlen
                 : kMostColumns <= 96 || !kSoftcap);
static_assert(!kDbias || (kBiasTiles && !kSoftcap && !kVarlen),
              "gradients of scores without cap' take the places of tiles of the bias, and steps come to all of them");
constexpr int kBiasBytes = kBiasTiles ? 2 * kBlockM * kBlockN : 0;

// Whether gradients of scores are in shared memory nowhere but in the places of the bias, queries by keys. Their own
// places become more of those: a tile of the bias comes long before that two steps earlier has been written.
constexpr bool kQueriesByKeys = kDbias && !kOwnsColumns;
constexpr int kBiasPlaces = kQueriesByKeys ? 4 : kStages;

// Whether a warpgroup draws dropout's pattern ahead; the tiles of columns leave no room for it.
constexpr bool kDropMasks = kDropout && !kOwnsColumns;

// Registers that producers leave to consumers where these need most; a bias takes some of both.
constexpr bool kFewProducers = kWidestKeys || (kWideKeys && !kBiasTiles);
constexpr int kProducerRegisters = kFewProducers ? 24 : 40, kConsumerRegisters = kFewProducers ? 240 : 232;

//% include "attention/arguments.cuh"
//% include "attention/backward_arguments.cuh"
//% include "attention/visibility.cuh"
//% include "attention/visible_queries.cuh"
//% include "attention/scores.cuh"
//% include "attention/dropout.cuh"
//% include "attention/drop_masks.cuh"
//% include "attention/packed_blocks.cuh"

// How many of its scores a thread turns into probabilities at a time: a few take fewer registers, but longer.
constexpr int kChanges = kSoftcap + kAlibi + kBias + kDropout + kWindow + kChunk + kVarlen;
constexpr bool kFewAtOnce =
    kOwnsColumns ? kMostColumns > 192 && (kChanges > 2 || (kAlibi && kBias))
                 : kWideKeys && (kMostColumns > 96 ? kSoftcap || kBias || (kWidestKeys && kChunk)
                                                   : kBiasTiles || (kSoftcap && kAlibi && kChunk));
// With softcap factors of gradients differ from probabilities; where registers are scarce both are packed until they
// are used.
constexpr bool kPacksFactors = kSoftcap && !kWidestKeys && (kBlockM == 128 || (kDropMasks && kMostColumns > 96));
constexpr int kScoresAtOnce = kFewAtOnce ? 8 : kPacksFactors || (kChunk && kBlockM == 128) ? 16 : kScores;

//% include "attention/bias_tile.cuh"
//% include "attention/backward_columns.cuh"
//% include "attention/key_place.cuh"
//% include "attention/dq_sums.cuh"
//% include "attention/quad_rows.cuh"

struct Params {
  TensorMap q, k, v, dout, bias, dbias;  // bias: only with kBiasMap; dbias: only with kDbias
  BackwardArguments args;
};

//% include "attention/steps_backward_sm90.cuh"
//% include "attention/shared_backward_sm90.cuh"
//% include "attention/marks.cuh"
//% include "attention/unseen_tiles_sm90.cuh"
//% include "attention/producer_backward_sm90.cuh"
//% include "attention/bias_backward_sm90.cuh"
//% include "attention/products_backward_sm90.cuh"
//% include "attention/packed_factors_sm90.cuh"

// Rows `valid` to kRows of a tile become zeros: 0 times what lies beyond a sequence may be NaN. Every
// warpgroup clears for itself, so that it need not wait for others; sync_cleared() comes before its products.
template <int kRows, int kColumns, int kSwizzle>
__device__ __forceinline__ void clear_rows(u32 tile, int valid) {
  const int chunks = (kRows - valid) * (kSwizzle / 16);
#pragma unroll 1
  for (int p = 0; p < kColumns * 2 / kSwizzle; ++p) {
    for (int i = threadIdx.x % 128; i < chunks; i += 128)
      clear_shared(tile + (p * kRows + valid) * kSwizzle + 16 * i);
  }
}
__device__ __forceinline__ void sync_cleared(int warpgroup) {
  fence_async_proxy();
  named_sync(kGroupBarrier + warpgroup, 128);
}

// A lane's address of 16 keys from `row` on and 16 queries from `column` on, of P or gradients of scores in a tile in
// shared memory, keys by queries.
__device__ __forceinline__ u32 address_of_scores(u32 tile, int row, int column) {
  const int lane = threadIdx.x % 32, bytes = 2 * column;
  const int offset = bytes % kSwizzleS + lane / 16 * 16;
  return tile + (bytes / kSwizzleS * kBlockN + row + lane % 16) * kSwizzleS + (offset ^ lane % 8 * 16);
}
// A warp's 16 keys from `row` on, and N / 4 times 16 queries from `column` on.
template <int N>
__device__ __forceinline__ void store_scores(u32 tile, const u32 (&packed)[N], int row, int column) {
#pragma unroll
  for (int j = 0; j < N / 4; ++j) store_matrices(address_of_scores(tile, row, column + 16 * j), &packed[4 * j]);
}
template <int N>
__device__ __forceinline__ void load_scores(u32 (&packed)[N], u32 tile, int row, int column) {
#pragma unroll
  for (int j = 0; j < N / 4; ++j)
    load_matrix_x4(reinterpret_cast<u32(&)[4]>(packed[4 * j]), address_of_scores(tile, row, column + 16 * j));
}

// A warp's 16 rows of dk and dv from key `place.key + warp_row` on.
class ResultRows {
 public:
  __device__ __forceinline__ ResultRows(const KeyPlace& place, int warp_row)
      : place_(place), row_(warp_row + static_cast<int>(threadIdx.x % 32 / 4)) {}

  // N / 4 tiles of 8 columns from `column` on, as far as the tensor has `columns`.
  template <int N>
  __device__ __forceinline__ void store(scalar* tensor, const i64 (&stride)[3], const float (&sums)[N],
                                        float factor, int column, int columns) const {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int key = place_.key + row_ + 8 * r;
      u32 words[N / 4];
#pragma unroll
      for (int j = 0; j < N / 4; ++j)
        words[j] = device::pack<scalar>(sums[4 * j + 2 * r] * factor, sums[4 * j + 2 * r + 1] * factor);
      scalar* const dst = tensor + place_.batch * stride[0] + (place_.sequence.first_k + key) * stride[1] +
                          place_.kv_head * stride[2] + column;
      store_quad_row<true>(dst, words, columns - column, key < place_.sequence.seqlen_k);
    }
  }

 private:
  const KeyPlace& place_;
  int row_;
};

//% if BLOCK_N == 64 || max(HEAD_DIM, HEAD_DIM_V) > 128
//% include "attention/dq_part_sm90.cuh"
//% end
//% if BLOCK_N == 128 && max(HEAD_DIM, HEAD_DIM_V) > 128
//% include "attention/consumer_wide_keys_sm90.cuh"
//% elif BLOCK_N == 128
//% include "attention/consumer_keys_sm90.cuh"
//% else
//% include "attention/consumer_columns_sm90.cuh"
//% end

extern "C" __global__ void __launch_bounds__(kThreads, 1)
    attention_backward_sm90(const __grid_constant__ Params params) {
  let_next_kernel_begin();
  wait_for_kernel_ahead();
  extern __shared__ __align__(1024) unsigned char dynamic_shared[];
  const Shared shared(dynamic_shared);
  // Known to be the same in all lanes of a warp, so that branches on it are uniform.
  const int warp = __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x / 32), 0), warpgroup = warp / 4;
  const BackwardArguments& args = params.args;
  if (threadIdx.x == 0) shared.init_barriers();
  __syncthreads();
  // What is known by now takes registers of all warpgroups. Where those are scarce each finds it out for itself.
  const Work known = work_of_block(args);
  const auto work = [&] { return kWideKeys || kBiasTiles ? work_of_block(args) : known; };
  if (warpgroup == 0) {
    release_registers<kProducerRegisters>();
    const auto [place, steps] = work();
    if (threadIdx.x == 0) {
      copy_tiles(params, shared, place, steps);
    } else if (warp == 1) {
      if constexpr (!kAddsFromRegisters) add_sums(params, shared, place, steps);
      if constexpr (kAddsFromRegisters && kDeterministic) keep_order(params, place, steps);
    } else if (warp == 2) {
      copy_stats(params, shared, place, steps);
    } else if (kBiasTiles && threadIdx.x == 96) {
      if constexpr (kDbias) {
        exchange_bias(params, shared, place, steps);
      } else {
        copy_bias(params, shared, place, steps);
      }
    }
  } else {
    acquire_registers<kConsumerRegisters>();
    const auto [place, steps] = work();
    if (place.batch >= 0) consume(params, shared, place, steps, warpgroup - 1);
  }
}
