// out[b, i, h, :] = sum_j softmax_j(s[b, h, i, j]) v[b, j, g, :]
// lse[b, h, i]    = ln(sum_j exp(s[b, h, i, j]))
// with the scores s, the keys j that query i sees, dropout and all tensors as sprue/ops.h describes them
// (Attention).
//
// A block is persistent: its producer warp walks over the tiles of queries that the schedule gives it and
// copies queries, keys and values into rings of shared memory with the tensor memory accelerator; its
// consumer warpgroups own 64 rows each and multiply with wgmma. Keys are visited from the last tile to the
// first with an online softmax. The scores of a tile are multiplied while the values of the tile before are,
// and softmax of one warpgroup runs under the products of the other (Shah et al. 2024, arXiv:2407.08608).
// sm_90a only.
//
// Scores, row sums and output accumulate in f32; probabilities are rounded to scalar before they meet v.

//% include "device/types.cuh"
//% include "device/vector.cuh"
//% include "device/reduce.cuh"
//% include "device/mbarrier.cuh"
//% include "device/shared.cuh"
//% include "device/tma.cuh"
//% include "device/wgmma.cuh"

enum class Turns { none, steps, all };  // all: also for the first and the last product of a tile of queries

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
constexpr int kPackedHeads = ${PACKED_HEADS};   // tile row r is query r / kPackedHeads, head r % kPackedHeads
constexpr bool kSignedScale = ${SIGNED_SCALE};  // the scale may be less than 1e-20: zero or negative
constexpr bool kHasLse = ${HAS_LSE};
constexpr bool kBounded = ${BOUNDED};  // a softcap keeps scores between -64 and 64
constexpr bool kShort = ${SHORT};  // sequences have few queries: only a hint for the schedule

// Schedule: how it is computed. Affects speed, never the result beyond rounding.
constexpr int kBlockM = ${BLOCK_M};            // query rows per tile, 64 for each consumer warpgroup
constexpr int kBlockN = ${BLOCK_N};            // keys per tile
constexpr int kStages = ${STAGES};             // tiles of K and of V in shared memory
constexpr int kQueryStages = ${QUERY_STAGES};  // tiles of queries: with 2 the next one is loaded early
constexpr Turns kTurns = Turns::${TURNS};      // when warpgroups issue their products in turn
constexpr bool kRescaleEarly = ${RESCALE_EARLY};         // before the products with v, not after
constexpr bool kRescaleIfNeeded = ${RESCALE_IF_NEEDED};  // only where a maximum has grown
constexpr int kPolynomialTiles = ${POLYNOMIAL_TILES};    // of 8: exponentials without their own unit
constexpr int kStagedColumns = ${STAGED_COLUMNS};  // of out, copied from shared memory; 0: threads write them
constexpr bool kKeysFirst = ${KEYS_FIRST};         // the first tile of keys is loaded before the queries

static_assert(kHeadDim % 8 == 0 && kHeadDimV % 8 == 0,
              "tiles are copied and multiplied in groups of 8 elements");
static_assert(kBlockM % 64 == 0 && kBlockM <= 192,
              "a warpgroup owns 64 rows, and registers suffice for three");
static_assert(kBlockN % 16 == 0, "probabilities are multiplied with v 16 keys at a time");
static_assert(!(kDropout || kProbabilities) || kBlockN % 32 == 0,
              "dropout draws its bytes for 32 keys at a time");
static_assert(kTurns == Turns::none || kBlockM > 64, "one warpgroup has nobody to take turns with");
static_assert(!kBounded || (kSoftcap && !kAlibi && !device::is_given<bias_scalar> && !kProbabilities),
              "only a softcap bounds scores, and probabilities are written in units of the maximum's");
static_assert(64 % kPackedHeads == 0, "a warpgroup owns whole groups of heads");

using namespace device;

constexpr int kConsumers = kBlockM / 64;
constexpr int kThreads = 128 * (1 + kConsumers);
// Looking up pages takes the producer more registers.
constexpr int kProducerRegisters = kConsumers == 3 ? 32 : kConsumers == 1 || kPaged ? 72 : 40;
constexpr int kConsumerRegisters = kConsumers == 3 ? 160 : kConsumers == 1 ? 240 : kPaged ? 216 : 232;

// Columns of out beyond 256 do not fit a warpgroup's registers: they are computed in parts, by tiles of their
// own.
constexpr int kValueParts = ceil_div(kHeadDimV, 256);
constexpr int kBlockV = 8 * ceil_div(kHeadDimV / 8, kValueParts);

constexpr int kSwizzleK = swizzle_of(kHeadDim), kSwizzleV = swizzle_of(kBlockV);
constexpr int kPanelK = kSwizzleK / 2, kPanelV = kSwizzleV / 2;
constexpr int kPanelsK = ceil_div(kHeadDim, kPanelK), kPanelsV = ceil_div(kBlockV, kPanelV);
constexpr int kDimSteps = ceil_div(kHeadDim, 16);

constexpr int kQueryBytes = 64 * kPanelsK * kSwizzleK;  // of one warpgroup
constexpr int kKeyBytes = kBlockN * kPanelsK * kSwizzleK;
constexpr int kValueBytes = kBlockN * kPanelsV * kSwizzleV;
constexpr int kStagedBytes = 16 * 2 * kStagedColumns;  // of one warp
static_assert(kStagedColumns == 0 || (kBlockV % kStagedColumns == 0 && kStagedColumns % kPanelV == 0),
              "whole panels of out are copied");

//% include "attention/arguments.cuh"
//% include "attention/visibility.cuh"
//% include "attention/scores.cuh"
//% if ALIBI && !SOFTCAP && !SIGNED_SCALE && HEAD_DIM <= 192
//% include "attention/alibi_product_sm90.cuh"
//% else
//% include "attention/no_alibi_product_sm90.cuh"
//% end
//% include "attention/dropout.cuh"

struct Params {
  TensorMap q, k, v, out;
  Arguments args;
  u32* counter;      // the next tile to hand out, if blocks draw their tiles
  int group;         // query heads that share a head of k and v
  int section;       // neighbouring tile columns whose tiles are visited together
  int last_section;  // the first column of the last section
  int box_rows;      // keys per copy: kBlockN, or fewer when pages are smaller
};

//% include "attention/schedule.cuh"
//% include "attention/shared_sm90.cuh"
//% include "attention/producer_sm90.cuh"
//% include "attention/product_of_rows_sm90.cuh"
//% include "attention/products_sm90.cuh"
//% include "attention/softmax_sm90.cuh"
//% include "attention/output_sm90.cuh"
//% if STAGED_COLUMNS > 0
//% include "attention/staged_output_sm90.cuh"
//% else
//% include "attention/direct_output_sm90.cuh"
//% end

// Scores and output of one warpgroup, tile of queries by tile of queries.
__device__ __forceinline__ void consume(const Params& params, const Shared& shared, int warpgroup) {
  const Arguments& args = params.args;
  const bool elected = threadIdx.x % 128 == 0;
  const auto take_turn = [&](bool needed) {
    if (needed) named_sync(kTurnBarrier + warpgroup, 256);
  };
  const auto give_turn = [&](bool needed) {
    if (needed) named_arrive(kTurnBarrier + (warpgroup + 1) % kConsumers, 256);
  };
  constexpr bool kStepTurns = kTurns != Turns::none, kEndTurns = kTurns == Turns::all;
  if (warpgroup == kConsumers - 1) give_turn(kStepTurns);  // the first turn is warpgroup 0's

  const auto keys = [&](int stage) { return row_descriptor(shared.keys(stage)); };
  const auto values = [&](int stage) { return column_descriptor<kBlockN * kSwizzleV>(shared.values(stage)); };

  Output output;
  Ring<kQueryStages> queries;
  Ring<kStages> tiles;
#pragma unroll 1
  while (true) {
    output.write_pending(params);
    wait(shared.query_full(queries.stage), queries.parity);
    const Work work = shared.read_work(args, queries.stage);
    if (work.batch < 0) break;

    const u32 query = row_descriptor(shared.queries(queries.stage, warpgroup));
    const int row =
        work.query * kPackedHeads + warpgroup * 64 + threadIdx.x % 128 / 32 * 16;  // the warp's first
    const RowScores row_state = row_scores(args, work.sequence, work.batch, work.head, row);
    Softmax softmax(args);
    Alibi alibi(row_state, work.query + warpgroup * 64 / kPackedHeads, work.sequence.shift);
    const auto multiply = [&](float(&scores)[kBlockN / 2], int n) {
      alibi.multiply(scores, shared.places(), n * kBlockN);
      multiply_keys(scores, query, keys(tiles.stage));
    };
    // From products to what softmax works on.
    const auto modify = [&](float(&scores)[kBlockN / 2], int n, bool may_be_masked) {
      score<kAlibi && !kAlibiProduct>(scores, args, row_state, n * kBlockN);
      alibi.correct(scores, row_state, n * kBlockN);
      if (may_be_masked && !work.is_whole(n)) mask(scores, row_state, n * kBlockN);
    };
    // From what softmax leaves to what is multiplied with v.
    const FragmentPlace place{work.batch, work.head, row};
    const auto finish = [&](u32(&probabilities)[kBlockN / 4], float(&scores)[kBlockN / 2], int n) {
      if constexpr (kProbabilities) apply_dropout(scores, args, work.sequence, place, n * kBlockN);
      pack(probabilities, scores);
      if constexpr (kDropout && !kProbabilities) drop_packed(probabilities, args, place, n * kBlockN);
    };
    float out[kBlockV / 2] = {};
    u32 probabilities[kBlockN / 4];
    int n = work.tiles.end - 1;
    {
      float scores[kBlockN / 2];
      wait(shared.key_full(tiles.stage), tiles.parity);
      take_turn(kEndTurns);
      multiply(scores, n);
      give_turn(kEndTurns);
      wgmma_wait<0>();
      pin(scores);
      if (elected) arrive(shared.key_empty(tiles.stage));
      modify(scores, n, true);
      softmax.first(scores, alibi.shift(row_state, n * kBlockN));
      finish(probabilities, scores, n);
    }
    if ((kVarlen || kPaged) && work.sequence.seqlen_k < (n + 1) * kBlockN) {
      wait(shared.value_full(tiles.stage), tiles.parity);
      clear_rows(shared.values(tiles.stage), work.sequence.seqlen_k - n * kBlockN, warpgroup);
    }

#pragma unroll 1
    for (--n; n >= work.tiles.first; --n) {
      const Ring<kStages> before = tiles;
      tiles.advance();
      float scores[kBlockN / 2];
      wait(shared.key_full(tiles.stage), tiles.parity);
      take_turn(kStepTurns);
      multiply(scores, n);
      if constexpr (kRescaleEarly) softmax.rescale(out);
      wait(shared.value_full(before.stage), before.parity);
      multiply_values(out, probabilities, values(before.stage));
      give_turn(kStepTurns);
      wgmma_wait<1>();
      pin(scores);
      if (elected) arrive(shared.key_empty(tiles.stage));
      modify(scores, n, !kSeesAll);
      softmax.next(scores, alibi.shift(row_state, n * kBlockN));
      wgmma_wait<0>();
      pin(out);
      pin(probabilities);
      if (elected) arrive(shared.value_empty(before.stage));
      finish(probabilities, scores, n);
      if constexpr (!kRescaleEarly) softmax.rescale(out);
    }
    if (elected) arrive(shared.query_empty(queries.stage));
    queries.advance();
    if constexpr (kRescaleEarly) softmax.rescale(out);
    wait(shared.value_full(tiles.stage), tiles.parity);
    take_turn(kEndTurns);
    multiply_values(out, probabilities, values(tiles.stage));
    give_turn(kEndTurns);
    softmax.finish(args, row_state);
    wgmma_wait<0>();
    pin(out);
    if (elected) arrive(shared.value_empty(tiles.stage));
    tiles.advance();

    output.take(params, shared.staged(), work, row_state, softmax, out);
  }
  output.finish();
}

extern "C" __global__ void __launch_bounds__(kThreads, 1)
    attention_sm90(const __grid_constant__ Params params) {
  extern __shared__ __align__(1024) unsigned char dynamic_shared[];
  const Shared shared(dynamic_shared);
  // Known to be the same in all lanes of a warp, so that branches on it are uniform.
  const int warpgroup = __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x / 128), 0);
  if (threadIdx.x == 0) shared.init_barriers();
  write_places(shared.places());
  __syncthreads();
  if (warpgroup == 0) {
    release_registers<kProducerRegisters>();
    if (threadIdx.x < kProducerThreads) produce(params, shared);
  } else {
    acquire_registers<kConsumerRegisters>();
    consume(params, shared, warpgroup - 1);
  }
}
