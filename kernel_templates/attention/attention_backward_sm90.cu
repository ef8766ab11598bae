// dv[b, j, g, :] = sum_{h of g, i} D P[b, h, i, j] dout[b, i, h, :]
// dk[b, j, g, :] = scale sum_{h of g, i} ds[b, h, i, j] q[b, i, h, :]
// dq_sums       += sum_j ds[b, h, i, j] k[b, j, g, :], which attention_backward_dq turns into dq
// with P, D, ds and all tensors as sprue/ops/attention_backward.h describes them (ds with cap').
//
// One block computes 128 rows of dk and dv of one head of keys: it walks over the query heads that share it and, for
// each, over the tiles of kBlockM queries that see one of its keys. Each of two consumer warpgroups owns 64 keys. Scores
// and dout . v are computed transposed, keys by queries, so that P and ds go from one product to the next in
// registers; ds also goes through shared memory to the product with k, which follows one tile later, and from there
// by bulk reductions to dq_sums. While one warpgroup computes P and ds the other has the tensor cores. dk and dv have
// the same bits in every repetition, dq_sums if kDeterministic. sm_90a only. Sums are f32; P and ds are rounded to
// scalar. Shah et al. 2024, arXiv:2407.08608.

//% include "device/types.cuh"
//% include "device/vector.cuh"
//% include "device/mbarrier.cuh"
//% include "device/shared.cuh"
//% include "device/tma.cuh"
//% include "device/wgmma.cuh"

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
constexpr bool kVarlen = ${VARLEN};              // sequences have lengths of their own
constexpr bool kSignedScale = ${SIGNED_SCALE};   // the scale may be less than 1e-20: zero or negative
constexpr bool kDeterministic = ${DETERMINISTIC};  // blocks add to dq in a fixed order

// Schedule: how it is computed. Affects speed, never the result beyond rounding.
constexpr int kBlockM = ${BLOCK_M};  // queries per tile
constexpr int kStages = ${STAGES};   // tiles of q and of dout in shared memory
constexpr bool kValuesEarly = ${VALUES_EARLY};  // dout . v is multiplied before P is computed, not after

static_assert(kHeadDim % 8 == 0 && kHeadDimV % 8 == 0, "tiles are copied and multiplied in groups of 8 elements");
static_assert(kBlockM == 64 || kBlockM == 128, "a product for dq has 64 queries and all columns, or half of them");

using namespace device;

constexpr bool kProbabilities = false;
constexpr int kPackedHeads = 1, kParts = 1;
constexpr int kConsumers = 2;
constexpr int kThreads = 128 * (1 + kConsumers);
constexpr int kBlockN = 64 * kConsumers;  // keys per block

// Columns of tiles in shared memory; those beyond the tensors' are zeros. A warpgroup multiplies kQueryColumns of k,
// which must be whole panels.
constexpr int kColumns = round_up(kHeadDim, 32), kColumnsV = round_up(kHeadDimV, 16);
constexpr int kQueryColumns = kBlockM == 64 ? kColumns / 2 : kColumns;
constexpr int kDimSteps = ceil_div(kHeadDim, 16), kDimStepsV = ceil_div(kHeadDimV, 16);

// The widest panel that leaves no 16 columns unused.
__host__ __device__ constexpr int swizzle_of(int columns) {
  return columns % 64 == 0 ? 128 : columns % 32 == 0 ? 64 : 32;
}
constexpr int kSwizzleQ = swizzle_of(kColumns), kSwizzleK = swizzle_of(kQueryColumns);
constexpr int kSwizzleV = swizzle_of(kColumnsV);  // and of dout
constexpr int kSwizzleS = 128;                    // of gradients of scores

constexpr int kKeyBytes = 2 * kBlockN * kColumns, kValueBytes = 2 * kBlockN * kColumnsV;
constexpr int kQueryBytes = 2 * kBlockM * kColumns, kDoutBytes = 2 * kBlockM * kColumnsV;
constexpr int kGradientBytes = 2 * kBlockN * kBlockM;
constexpr int kSumBytes = 4 * 64 * kQueryColumns;  // of one warpgroup
constexpr int kStatsBytes = 8 * kBlockM;

//% include "attention/arguments.cuh"
//% include "attention/backward_arguments.cuh"
//% include "attention/visibility.cuh"
//% include "attention/visible_queries.cuh"
//% include "attention/scores.cuh"
//% include "attention/dropout.cuh"
//% include "attention/packed_blocks.cuh"
//% include "attention/backward_columns.cuh"
//% include "attention/key_place.cuh"
//% include "attention/dq_sums.cuh"
//% include "attention/quad_rows.cuh"

struct Params {
  TensorMap q, k, v, dout;
  BackwardArguments args;
};

//% include "attention/steps_backward_sm90.cuh"
//% include "attention/shared_backward_sm90.cuh"
//% include "attention/producer_backward_sm90.cuh"
//% include "attention/products_backward_sm90.cuh"

// Rows `valid` to kRows of a tile become zeros: 0 times what lies beyond a sequence may be NaN. Every warpgroup clears for
// itself, so that it need not wait for others; sync_cleared() comes before its products.
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

// Gradients of scores, keys by queries, into a tile in shared memory. `row` is the warp's first key.
__device__ __forceinline__ void store_gradients(u32 tile, const u32 (&ds)[kBlockM / 4], int row) {
  const int lane = threadIdx.x % 32;
  const u32 first = tile + (row + lane % 16) * kSwizzleS;
#pragma unroll
  for (int j = 0; j < kBlockM / 16; ++j) {
    const int panel = j * 32 / kSwizzleS, column = j * 32 % kSwizzleS + lane / 16 * 16;
    store_matrices(first + panel * kBlockN * kSwizzleS + (column ^ lane % 8 * 16), &ds[4 * j]);
  }
}

// A warpgroup's part of dq, for the warp that adds it.
__device__ __forceinline__ void store_sums(u32 sums, const float (&dq)[kQueryColumns / 2]) {
  const u32 first = sums + threadIdx.x % 128 * 16;
#pragma unroll
  for (int j = 0; j < kQueryColumns / 8; ++j)
    store_shared(first + j * 2048, float4{dq[4 * j], dq[4 * j + 1], dq[4 * j + 2], dq[4 * j + 3]});
}

// A warp's 16 rows of dk or dv, of which `rows` belong to the sequence.
template <int N>
__device__ __forceinline__ void store_rows(scalar* dst, i64 stride, const float (&sums)[N], float factor, int columns,
                                           int rows) {
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const int row = threadIdx.x % 32 / 4 + 8 * r;
    u32 words[N / 4];
#pragma unroll
    for (int j = 0; j < N / 4; ++j)
      words[j] = device::pack<scalar>(sums[4 * j + 2 * r] * factor, sums[4 * j + 2 * r + 1] * factor);
    store_quad_row(dst + row * stride, words, columns, row < rows);
  }
}

// dk and dv of one warpgroup's 64 keys, and its part of dq.
__device__ __forceinline__ void consume(const Params& params, const Shared& shared, const KeyPlace& place, Steps steps,
                                        int warpgroup) {
  const BackwardArguments& args = params.args;
  const Arguments& forward = args.forward;
  const Sequence& sequence = place.sequence;
  const bool elected = threadIdx.x % 128 == 0, warp_elected = threadIdx.x % 32 == 0;
  const int warp_row = warpgroup * 64 + static_cast<int>(threadIdx.x % 128 / 32 * 16);
  const auto take_turn = [&] { named_sync(kTurnBarrier + warpgroup, 256); };
  const auto give_turn = [&] { named_arrive(kTurnBarrier + 1 - warpgroup, 256); };

  // Its queries are every column of a tile, or one half of the queries is its own.
  const auto multiply_buffer = [&](float(&dq)[kQueryColumns / 2], int buffer) {
    const u32 gradients = shared.gradients(buffer) + (kBlockM == 64 ? 0 : warpgroup * kBlockN * kSwizzleS);
    const u32 keys = shared.keys() + (kBlockM == 64 ? warpgroup * kBlockN * kQueryColumns * 2 : 0);
    multiply_gradients(dq, gradients, keys);
  };
  const auto hand_over = [&](const float(&dq)[kQueryColumns / 2], bool first) {
    if (!first) named_sync(kSumEmptyBarrier + warpgroup, 160);
    store_sums(shared.sums(warpgroup), dq);
    named_arrive(kSumFullBarrier + warpgroup, 160);
  };

  float dk[kColumns / 2] = {}, dv[kColumnsV / 2] = {};
  if (!steps.done()) {
    wait(shared.keys_full(), 0);
    if (kVarlen && place.key + kBlockN > sequence.seqlen_k) {
      clear_rows<kBlockN, kColumns, kSwizzleK>(shared.keys(), sequence.seqlen_k - place.key);
      clear_rows<kBlockN, kColumnsV, kSwizzleV>(shared.values(), sequence.seqlen_k - place.key);
      sync_cleared(warpgroup);
    }
    if (warpgroup == 1) give_turn();  // the first turn is warpgroup 0's
    take_turn();
    Ring<kStages> tiles;
    int step = 0;  // its gradients of scores are in buffer step % 2
#pragma unroll 1
    for (; !steps.done(); steps.advance(), ++step) {
      const int buffer = step % 2, before = buffer ^ 1;
      const ColumnPlace here{place.batch, steps.head(), steps.query(), place.key + warp_row};
      const bool whole = all_visible(forward, sequence, here.query, kBlockM, place.key, kBlockN);
      const RowStats* const stats = shared.stats(tiles.stage);
      float p[kBlockM / 2], ds[kBlockM / 2];
      u32 packed_p[kBlockM / 4], packed_ds[kBlockM / 4];
      CapSlopes<kBlockM / 2> slopes;

      wait(shared.query_full(tiles.stage), tiles.parity);
      if (kVarlen && here.query + kBlockM > sequence.seqlen_q) {
        clear_rows<kBlockM, kColumns, kSwizzleQ>(shared.queries(tiles.stage), sequence.seqlen_q - here.query);
        wait(shared.dout_full(tiles.stage), tiles.parity);
        clear_rows<kBlockM, kColumnsV, kSwizzleV>(shared.douts(tiles.stage), sequence.seqlen_q - here.query);
        sync_cleared(warpgroup);
      }
      multiply_rows<kDimSteps, kBlockN, kSwizzleK, kSwizzleQ>(p, shared.keys() + warpgroup * 64 * kSwizzleK,
                                                              shared.queries(tiles.stage));
      const auto multiply_values = [&] {
        wait(shared.dout_full(tiles.stage), tiles.parity);
        multiply_rows<kDimStepsV, kBlockN, kSwizzleV, kSwizzleV>(ds, shared.values() + warpgroup * 64 * kSwizzleV,
                                                                 shared.douts(tiles.stage));
      };
      if constexpr (kValuesEarly) multiply_values();
      wgmma_wait<kValuesEarly ? 1 : 0>();
      pin(p);
      give_turn();
      probabilities(p, slopes, forward, sequence, here, stats, whole);
      if constexpr (kDropout) mark_dropped(p, forward, here);
#pragma unroll
      for (int i = 0; i < kBlockM / 4; ++i)
        packed_p[i] = kDropout ? device::pack<scalar>(fmaxf(p[2 * i], 0.0f), fmaxf(p[2 * i + 1], 0.0f))
                               : device::pack<scalar>(p[2 * i], p[2 * i + 1]);
      apply_slopes(p, slopes);
      if constexpr (!kValuesEarly) multiply_values();
      wgmma_wait<0>();
      pin(ds);
      score_gradients(ds, p, forward, stats);
      pack(packed_ds, ds);
      wait(shared.gradient_empty(buffer), step / 2 % 2 ^ 1);
      store_gradients(shared.gradients(buffer), packed_ds, warp_row);
      fence_async_proxy();
      __syncwarp();
      if (warp_elected) arrive(shared.gradient_full(buffer));

      take_turn();
      accumulate<kSwizzleV>(dv, packed_p, shared.douts(tiles.stage));
      // Of the tile before. In the first round of the loop this multiplies what nobody has written; a condition would
      // keep the compiler from having products in flight.
      float dq[kQueryColumns / 2];
      if (step > 0) wait(shared.gradient_full(before), (step - 1) / 2 % 2);
      multiply_buffer(dq, before);
      wgmma_wait<1>();
      pin(dv);
      pin(packed_p);
      if (elected) arrive(shared.dout_empty(tiles.stage));
      accumulate<kSwizzleQ>(dk, packed_ds, shared.queries(tiles.stage));
      wgmma_wait<1>();
      pin(dq);
      if (step > 0) {
        if (elected) arrive(shared.gradient_empty(before));
        hand_over(dq, step == 1);
      }
      wgmma_wait<0>();
      pin(dk);
      pin(packed_ds);
      if (elected) arrive(shared.query_empty(tiles.stage));
      tiles.advance();
    }
    if (warpgroup == 0) give_turn();  // warpgroup 0 takes none after its last step
    float dq[kQueryColumns / 2];
    wait(shared.gradient_full((step - 1) % 2), (step - 1) / 2 % 2);
    multiply_buffer(dq, (step - 1) % 2);
    wgmma_wait<0>();
    pin(dq);
    hand_over(dq, step == 1);
  }

  const int rows = sequence.seqlen_k - place.key - warp_row;
  const auto target = [&](scalar* tensor, const i64(&stride)[3]) {
    return tensor + place.batch * stride[0] + (sequence.first_k + place.key + warp_row) * stride[1] +
           place.kv_head * stride[2];
  };
  store_rows(target(args.dk, args.dk_stride), args.dk_stride[1], dk, forward.scale, kHeadDim, rows);
  store_rows(target(args.dv, args.dv_stride), args.dv_stride[1], dv, kDropout ? forward.keep_scale : 1.0f, kHeadDimV,
             rows);
}

extern "C" __global__ void __launch_bounds__(kThreads, 1)
    attention_backward_sm90(const __grid_constant__ Params params) {
  extern __shared__ __align__(1024) unsigned char dynamic_shared[];
  const Shared shared(dynamic_shared);
  // Known to be the same in all lanes of a warp, so that branches on it are uniform.
  const int warp = __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x / 32), 0), warpgroup = warp / 4;
  const BackwardArguments& args = params.args;
  const int block = blockIdx.x % args.key_blocks;
  const KeyPlace place = place_of_keys(args, kDeterministic ? args.key_blocks - 1 - block : block);
  if (place.batch < 0) return;
  const int group = args.forward.heads / args.forward.kv_heads;
  const Steps steps(visiting_tiles(args.forward, place.sequence, place.key), group, place.kv_head * group);
  if (threadIdx.x == 0) shared.init_barriers();
  __syncthreads();
  if (warpgroup == 0) {
    release_registers<40>();
    if (threadIdx.x == 0) copy_tiles(params, shared, place, steps);
    if (warp == 1) add_sums(params, shared, place, steps);
    if (warp == 2) copy_stats(params, shared, place, steps);
  } else {
    acquire_registers<232>();
    consume(params, shared, place, steps, warpgroup - 1);
  }
}
