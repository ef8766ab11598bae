// dbias[b', h', i, j] = sum ds[b, h, i, j]
// over those dimensions of batch and heads in which bias has extent 1, with ds and all tensors as
// sprue/ops/attention_backward.h describes them; bias has a row for every query.
//
// Persistent blocks take tiles of kBlockM queries and kBlockN keys. For every head of every sequence that a tile sums,
// scores and the products of dout and v are computed anew. A producer warp copies q and k, dout and v in turn through a
// ring of stages, another one the bias; two consumer warpgroups have 64 queries each. Nothing is added by atomics: the
// same call gives the same bits. sm_90a only. Sums are f32.

//% include "device/types.cuh"
//% include "device/vector.cuh"
//% include "device/mbarrier.cuh"
//% include "device/shared.cuh"
//% include "device/mma.cuh"
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
constexpr bool kVarlen = ${VARLEN};             // sequences have lengths of their own
constexpr bool kSignedScale = ${SIGNED_SCALE};  // the scale may be less than 1e-20: zero or negative
constexpr bool kBiasTiles = ${BIAS_MAP};        // the bias is a tensor of scalar that tensor maps describe
using dbias_scalar = device::${DBIAS};

// Schedule: how it is computed. Affects speed, never the result beyond rounding.
constexpr int kBlockN = ${BLOCK_N};  // keys per tile
constexpr int kStages = ${STAGES};   // pairs of tiles in shared memory

static_assert(kHeadDim % 8 == 0 && kHeadDimV % 8 == 0,
              "tiles are copied and multiplied in groups of 8 elements");
static_assert(kHeadDim <= 128 && kHeadDimV <= 128, "two pairs of tiles must fit shared memory");
static_assert(kStages >= 2, "a consumer holds q and k while it waits for dout and v");
static_assert(!kBiasTiles || (device::is_given<bias_scalar> && sizeof(bias_scalar) == sizeof(scalar)),
              "tiles of the bias are read as those of q are");

using namespace device;

constexpr bool kPaged = false, kProbabilities = false;
constexpr int kPackedHeads = 1;
constexpr int kConsumers = 2;
constexpr int kBlockM = 64 * kConsumers;  // queries per tile
constexpr int kThreads = 128 * (1 + kConsumers);
constexpr int kProducerRegisters = kVarlen ? 56 : 40, kConsumerRegisters = kVarlen ? 224 : 232;
constexpr int kScores = kBlockN / 2;     // of a thread
constexpr int kScoresAtOnce = 16;        // that a thread turns into gradients
constexpr bool kHidesTails = kVarlen;    // what lies beyond a sequence may be NaN

constexpr int kColumns = round_up(kHeadDim, 32), kColumnsV = round_up(kHeadDimV, 16);
constexpr int kDimSteps = ceil_div(kHeadDim, 16), kDimStepsV = ceil_div(kHeadDimV, 16);

constexpr int kSwizzle = swizzle_of(kColumns), kSwizzleV = swizzle_of(kColumnsV);

constexpr int kMostColumns = kColumns > kColumnsV ? kColumns : kColumnsV;
constexpr int kRowBytes = 2 * kBlockM * kMostColumns;  // of q or dout
constexpr int kPairBytes = kRowBytes + 2 * kBlockN * kMostColumns;
constexpr int kBiasBytes = kBiasTiles ? 2 * kBlockM * kBlockN : 0;

//% include "attention/arguments.cuh"
//% include "attention/backward_arguments.cuh"
//% include "attention/visibility.cuh"
//% include "attention/visible_queries.cuh"
//% include "attention/scores.cuh"
//% include "attention/dropout.cuh"
//% include "attention/bias_tile.cuh"
//% include "attention/backward_rows.cuh"
//% include "attention/product_of_rows_sm90.cuh"
//% include "attention/quad_rows.cuh"
//% include "attention/bias_sum.cuh"

static_assert(kBias, "without a bias there is no gradient of it");

struct Params {
  TensorMap q, k, v, dout, bias, dbias;  // bias: only with kBiasTiles; dbias is attention_backward_sm90's
  BackwardArguments args;
};

struct Shared {
  static constexpr int kBias = kStages * kPairBytes, kBarriers = kBias + kBiasBytes;

  u32 base;  // a multiple of 1024, as the swizzle asks for

  __device__ __forceinline__ explicit Shared(const void* unaligned)
      : base((shared_address(unaligned) + 1023u) & ~1023u) {}

  // Of q or dout, and of k or v.
  __device__ __forceinline__ u32 rows(int stage) const { return base + stage * kPairBytes; }
  __device__ __forceinline__ u32 keys(int stage) const { return rows(stage) + kRowBytes; }
  __device__ __forceinline__ u32 bias() const { return base + kBias; }

  // Full: all of it has been written. Empty: both warpgroups are done with it.
  __device__ __forceinline__ u32 full(int stage) const { return barrier(stage); }
  __device__ __forceinline__ u32 empty(int stage) const { return barrier(kStages + stage); }
  __device__ __forceinline__ u32 bias_full() const { return barrier(2 * kStages); }
  __device__ __forceinline__ u32 bias_empty() const { return barrier(2 * kStages + 1); }

  __device__ __forceinline__ void init_barriers() const {
    for (int i = 0; i < kStages; ++i) {
      init_barrier(full(i), 1);
      init_barrier(empty(i), kConsumers);
    }
    init_barrier(bias_full(), 1);
    init_barrier(bias_empty(), 4 * kConsumers);  // each warp
    fence_barrier_init();
  }

 private:
  __device__ __forceinline__ u32 barrier(int index) const { return base + kBarriers + 8 * index; }
};

// One head of one sequence after the other, as far as one of a tile's queries sees one of its keys.
class Steps {
 public:
  __device__ __forceinline__ Steps(const Arguments& args, const BiasTile& tile)
      : args_(args), tile_(tile), batch_(tile.batch), head_(tile.head) {
    find();
  }

  __device__ __forceinline__ bool done() const { return batch_ == tile_.end_batch; }
  __device__ __forceinline__ const Sequence& sequence() const { return sequence_; }
  __device__ __forceinline__ int batch() const { return batch_; }
  __device__ __forceinline__ int head() const { return head_; }

  __device__ __forceinline__ void advance() {
    if (++head_ < tile_.end_head) return;
    head_ = tile_.head;
    ++batch_;
    find();
  }

 private:
  // The first sequence from batch_ on that has something to see.
  __device__ __forceinline__ void find() {
#pragma unroll 1
    for (; batch_ < tile_.end_batch; ++batch_) {
      sequence_ = sequence_of(args_, batch_);
      const QueryRange seen = visible_queries(args_, sequence_, tile_.key, kBlockN);
      if (max(tile_.query, seen.first) < min(tile_.query + kBlockM, seen.end)) return;
    }
  }

  const Arguments& args_;
  const BiasTile& tile_;
  int batch_, head_;
  Sequence sequence_;
};

__device__ __forceinline__ int count_tiles(const BackwardArguments& args) {
  return ceil_div(args.bias_q, kBlockM) * ceil_div(args.bias_k, kBlockN) * args.bias_heads * args.bias_batch;
}

// A tile of queries or of dout, and one of keys or values.
template <int kColumns, int kSwizzle>
__device__ __forceinline__ void load_pair(const Shared& shared, int stage, const TensorMap& rows, const TensorMap& keys,
                                          u64 policy, const int (&row)[3], const int (&key)[3]) {
  const u32 full = shared.full(stage);
  arrive_and_expect(full, 2 * (kBlockM + kBlockN) * kColumns);
#pragma unroll
  for (int p = 0; p < kColumns * 2 / kSwizzle; ++p) {
    load_box(shared.rows(stage) + p * kBlockM * kSwizzle, rows, full, policy, p * kSwizzle / 2, row[2], row[1], row[0]);
    load_box(shared.keys(stage) + p * kBlockN * kSwizzle, keys, full, policy, p * kSwizzle / 2, key[2], key[1], key[0]);
  }
}

// By one thread.
__device__ __forceinline__ void copy_tiles(const Params& params, const Shared& shared) {
  const BackwardArguments& args = params.args;
  const Arguments& forward = args.forward;
  const u64 policy = evict_last_policy();
  const int tiles = count_tiles(args);
  Ring<kStages> pairs;
#pragma unroll 1
  for (int index = blockIdx.x; index < tiles; index += gridDim.x) {
    const BiasTile tile = bias_tile(args, index);
    Steps steps(forward, tile);
#pragma unroll 1
    for (; !steps.done(); steps.advance()) {
      const Sequence& sequence = steps.sequence();
      const int row[3] = {kVarlen && forward.cu_seqlens_q != nullptr ? 0 : steps.batch(), steps.head(),
                          sequence.first_q + tile.query};
      const int key[3] = {kVarlen && forward.cu_seqlens_k != nullptr ? 0 : steps.batch(),
                          steps.head() / (forward.heads / forward.kv_heads), sequence.first_k + tile.key};
      wait(shared.empty(pairs.stage), pairs.parity ^ 1);
      load_pair<kColumns, kSwizzle>(shared, pairs.stage, params.q, params.k, policy, row, key);
      pairs.advance();
      wait(shared.empty(pairs.stage), pairs.parity ^ 1);
      load_pair<kColumnsV, kSwizzleV>(shared, pairs.stage, params.dout, params.v, policy, row, key);
      pairs.advance();
    }
  }
}

// By one thread.
__device__ __forceinline__ void copy_bias(const Params& params, const Shared& shared) {
  const BackwardArguments& args = params.args;
  const u64 policy = evict_first_policy();
  const int tiles = count_tiles(args);
  Ring<1> biases;
#pragma unroll 1
  for (int index = blockIdx.x; index < tiles; index += gridDim.x) {
    const BiasTile tile = bias_tile(args, index);
    if (Steps(args.forward, tile).done()) continue;
    wait(shared.bias_empty(), biases.parity ^ 1);
    arrive_and_expect(shared.bias_full(), kBiasBytes);
#pragma unroll
    for (int p = 0; p < kBlockN / 64; ++p)
      load_box(shared.bias() + p * kBlockM * kBiasRowBytes, params.bias, shared.bias_full(), policy, tile.key + 64 * p,
               tile.query, tile.head, tile.batch);
    biases.advance();
  }
}

// The sums of a warpgroup's 64 queries.
__device__ __forceinline__ void consume(const Params& params, const Shared& shared, int warpgroup) {
  const BackwardArguments& args = params.args;
  const Arguments& forward = args.forward;
  const int thread = threadIdx.x % 128, warp_row = thread / 32 * 16;
  const u32 bias = bias_row_address(shared.bias(), warpgroup * 64 + warp_row);
  const auto release = [&](int stage) {
    if (thread == 0) arrive(shared.empty(stage));
  };
  const int tiles = count_tiles(args);
  Ring<kStages> pairs;
  Ring<1> biases;
#pragma unroll 1
  for (int index = blockIdx.x; index < tiles; index += gridDim.x) {
    const BiasTile tile = bias_tile(args, index);
    const int query = tile.query + warpgroup * 64;
    float sums[kScores] = {};
    Steps steps(forward, tile);
    const bool has_steps = !steps.done();
#pragma unroll 1
    for (; !steps.done(); steps.advance()) {
      const Sequence& sequence = steps.sequence();
      const bool whole = all_visible(forward, sequence, query, 64, tile.key, kBlockN) &&
                         (!kHidesTails || query + 64 <= sequence.seqlen_q);
      GradientRows rows = gradient_rows(args, sequence, steps.batch(), steps.head(), query + warp_row);
      rows.bias = bias;
      float s[kScores], ds[kScores];
      const int stage = pairs.stage;
      wait(shared.full(stage), pairs.parity);
      multiply_rows<kDimSteps, kBlockM, kSwizzle>(
          s, row_descriptor(shared.rows(stage) + warpgroup * 64 * kSwizzle), row_descriptor(shared.keys(stage)));
      pairs.advance();
      wait(shared.full(pairs.stage), pairs.parity);
      multiply_rows<kDimStepsV, kBlockM, kSwizzleV>(
          ds, row_descriptor(shared.rows(pairs.stage) + warpgroup * 64 * kSwizzleV),
          row_descriptor(shared.keys(pairs.stage)));
      wgmma_wait<1>();
      pin(s);
      release(stage);
      wgmma_wait<0>();
      pin(ds);
      release(pairs.stage);
      pairs.advance();
      if constexpr (kBiasTiles) wait(shared.bias_full(), biases.parity);
#pragma unroll
      for (int first = 0; first < kScores; first += kScoresAtOnce) {
        score_gradients(reinterpret_cast<float(&)[kScoresAtOnce]>(s[first]),
                        reinterpret_cast<float(&)[kScoresAtOnce]>(ds[first]), forward, rows, tile.key + 2 * first,
                        whole, 2 * first);
#pragma unroll
        for (int i = 0; i < kScoresAtOnce; ++i) sums[first + i] += ds[first + i];
      }
    }
    if (kBiasTiles && has_steps) {
      __syncwarp();
      if (thread % 32 == 0) arrive(shared.bias_empty());
      biases.advance();
    }
    store_dbias(args, tile, query + warp_row, sums);
  }
}

extern "C" __global__ void __launch_bounds__(kThreads, 1)
    attention_backward_bias_sm90(const __grid_constant__ Params params) {
  extern __shared__ __align__(1024) unsigned char dynamic_shared[];
  const Shared shared(dynamic_shared);
  // Known to be the same in all lanes of a warp, so that branches on it are uniform.
  const int warpgroup = __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x / 128), 0);
  if (threadIdx.x == 0) shared.init_barriers();
  __syncthreads();
  if (warpgroup == 0) {
    release_registers<kProducerRegisters>();
    if (threadIdx.x == 0) copy_tiles(params, shared);
    if (kBiasTiles && threadIdx.x == 32) copy_bias(params, shared);
  } else {
    acquire_registers<kConsumerRegisters>();
    consume(params, shared, warpgroup - 1);
  }
}
