// y[r, c] = exp(scale * x[r, c]) / sum of exp(scale * x[r, :]) over the visible columns; 0 in the others
//
//   x, y  [rows..., columns]  scalar, any row strides, last one 1; y may be x
//   mask  [rows..., columns]  u8, any row strides, 0 too, last one 1; not 0: hidden
//
// A row without a visible column above -inf is 0. Sums are f32.
//
// kThreadsPerRow neighbouring threads share a row, or as many in each of the kCluster blocks of a cluster. A row stays in
// registers where it fits; a longer one is read again, then from L2.

//% include "device/types.cuh"
//% include "device/vector.cuh"
//% include "device/reduce.cuh"
//% if CLUSTER > 1
//% include "device/cluster.cuh"
//% end

// Problem: what is computed. Set by the caller.
using scalar = device::${SCALAR};
constexpr int kMostColumns = ${MOST_COLUMNS};
constexpr bool kHasMask = ${HAS_MASK};
constexpr bool kCausal = ${CAUSAL};       // the last dimension in front of the columns is that of queries
constexpr int kAlignment = ${ALIGNMENT};  // elements, of which columns and every address and row stride are multiples
constexpr int kRowDims = ${ROW_DIMS};     // dimensions in front of the last one

// Schedule: how it is computed. Affects speed, never the result beyond rounding.
constexpr int kThreadsPerRow = ${THREADS_PER_ROW};
constexpr int kRowsPerBlock = ${ROWS_PER_BLOCK};
constexpr int kCluster = ${CLUSTER};

static_assert((kThreadsPerRow & (kThreadsPerRow - 1)) == 0, "rows are reduced by halving");
static_assert(kCluster == 1 || kRowsPerBlock == 1, "a cluster works on one row");

using namespace device;

constexpr int kThreads = kThreadsPerRow * kRowsPerBlock;
constexpr int kRegisterWords = kMostColumns / (kThreadsPerRow * kCluster) * (sizeof(scalar) + kHasMask) / 4;

//% include "softmax/columns.cuh"
//% include "softmax/row_totals.cuh"

struct Params {
  scalar* y;
  const scalar* x;
  const u8* mask;
  i64 rows;
  i64 extent[5];
  RowStrides strides[3];  // y, x, mask
  float factor;           // scale * log2(e)
  int columns, queries;
};

// One row of x and mask, the part of it that a thread has.
struct Row {
  const scalar* x;
  const u8* mask;
  float factor;
  Columns columns;
  Vector kept[kInRegisters ? kVecsPerThread : 1];
  Vec<u8, kVec> hidden[kInRegisters ? kVecsPerThread : 1];

  // Vector i is at [at(i)] from now on.
  __device__ __forceinline__ static int at(int i) { return kInRegisters ? i : 0; }
  __device__ __forceinline__ void load_one(int i) {
    kept[at(i)] = columns.load_one(x, i);
    if constexpr (kHasMask) hidden[at(i)] = load<u8, kVec>(mask + columns.place(i));
  }
  // Exponents of 2; -inf where a column is hidden.
  __device__ __forceinline__ Values scores(int i) const {
    Values t = widen(kept[at(i)]);
#pragma unroll
    for (int e = 0; e < kVec; ++e) {
      const bool is_seen = (kCausal ? columns.sees(i, e) : columns.sees(i)) && !(kHasMask && hidden[at(i)].at[e] != 0);
      t.at[e] = is_seen ? t.at[e] * factor : negative_infinity();
    }
    return t;
  }
};

__device__ __forceinline__ float largest(float max, const Values& t) {
#pragma unroll
  for (int e = 0; e < kVec; ++e) max = fmaxf(max, t.at[e]);
  return max;
}

// Adds a vector of scores to a thread's totals; `max` is at least the largest of both.
__device__ __forceinline__ void add(Totals& totals, const Values& t, float max) {
  const float base = base_of(max);
  totals.sum *= exp2_approx(totals.max - base);
#pragma unroll
  for (int e = 0; e < kVec; ++e) totals.sum += exp2_approx(t.at[e] - base);
  totals.max = max;
}

//% if CLUSTER > 1
extern "C" __global__ void __launch_bounds__(kThreads) __cluster_dims__(kCluster, 1, 1)
//% else
extern "C" __global__ void __launch_bounds__(kThreads)
//% end
    softmax_forward(const __grid_constant__ Params params) {
  const i64 place = static_cast<i64>(blockIdx.x / kCluster) * kRowsPerBlock + threadIdx.x / kThreadsPerRow;
  const bool active = kRowsPerBlock == 1 || place < params.rows;
  const i64 number = active ? place : 0;
  const int lane = row_lane();
  i64 offset[3];
  row_offsets(offset, params.extent, params.strides, number);
  Row row{params.x + offset[1], params.mask + offset[2], params.factor,
          {lane, visible_columns(params.columns, params.queries, number)}};

  Totals totals;
  if constexpr (kInRegisters) {
#pragma unroll
    for (int i = 0; i < kVecsPerThread; ++i) row.load_one(i);
    float max = negative_infinity();
#pragma unroll
    for (int i = 0; i < kVecsPerThread; ++i) max = largest(max, row.scores(i));
    totals.max = max;
#pragma unroll
    for (int i = 0; i < kVecsPerThread; ++i) add(totals, row.scores(i), max);
  } else {
#pragma unroll(kUnroll)
    for (int i = 0; i < kVecsPerThread; ++i) {
      row.load_one(i);
      const Values t = row.scores(i);
      add(totals, t, largest(totals.max, t));
    }
  }
  totals = row_totals(totals);
  const float base = base_of(totals.max), inverse = totals.sum == 0.0f ? 0.0f : 1.0f / totals.sum;
#pragma unroll(kUnroll)
  for (int i = 0; i < kVecsPerThread; ++i) {
    if constexpr (!kInRegisters) row.load_one(i);
    Values y = row.scores(i);
#pragma unroll
    for (int e = 0; e < kVec; ++e) y.at[e] = exp2_approx(y.at[e] - base) * inverse;
    const int column = column_of(lane, i);
    if (active && column < params.columns) store_values(params.y + offset[0] + column, y);
  }
  finish_row_totals();
}
