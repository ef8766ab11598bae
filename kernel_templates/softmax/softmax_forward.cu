// y[r, c] = exp(scale * x[r, c]) / sum of exp(scale * x[r, :]) over the visible columns; 0 in the others
//
//   x, y  [rows..., columns]  scalar, any row strides, last one 1; y may be x
//   mask  [rows..., columns]  u8, any row strides, 0 too, last one 1; not 0: hidden
//
// A row without a visible column above -inf is 0. Sums are f32.
//
// kThreadsPerRow neighbouring threads share a row, or as many in each of the kCluster blocks of a cluster. A row stays
// in registers where it fits. Longer ones wait in shared memory, or are read again. A block, or a cluster, takes one row; or
// it walks over rows, and has the next ones copied while it writes this one.

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
constexpr int kStages = ${STAGES};  // rows in shared memory at once; 0: in registers
constexpr bool kWalks = ${WALKS};   // a block takes one row after the other

static_assert((kThreadsPerRow & (kThreadsPerRow - 1)) == 0, "rows are reduced by halving");
static_assert(kCluster == 1 || kRowsPerBlock == 1, "a cluster works on one row");
static_assert(kStages == 0 || kRowsPerBlock == 1, "a block has one row at a time");
static_assert(kWalks ? kStages > 0 : kStages <= 1, "who walks over rows has them in shared memory, where others have one");

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

// A row of x and mask, the part of it that a thread has.
struct Row {
  Columns columns;
  RowPart<scalar> x;
  RowPart<u8> mask;
  scalar* y;
  float factor;

  //% if STAGES > 0
  __device__ __forceinline__ Row(const Params& params, i64 number, int stage)
      : x{nullptr, {0, stage}}, mask{nullptr, {kStages * StagedRow<scalar>::kBytes, stage}} {
    find(params, number);
  }
  __device__ __forceinline__ void copy(int i) const {
    x.copy(columns, i);
    if constexpr (kHasMask) mask.copy(columns, i);
  }
  //% else
  __device__ __forceinline__ Row(const Params& params, i64 number) { find(params, number); }
  __device__ __forceinline__ void copy(int) const {}
  __device__ __forceinline__ void keep() {
    if constexpr (!kInRegisters) return;
#pragma unroll
    for (int i = 0; i < kVecsPerThread; ++i) {
      x.keep(columns, i);
      if constexpr (kHasMask) mask.keep(columns, i);
    }
  }
  //% end
  __device__ __forceinline__ void find(const Params& params, i64 number) {
    columns = columns_of(params, number);
    i64 offset[3];
    row_offsets(offset, params.extent, params.strides, is_row(params, number) ? number : 0);
    factor = params.factor;
    y = params.y + offset[0];
    x.row = params.x + offset[1];
    mask.row = params.mask + offset[2];
  }

  // Exponents of 2; -inf where a column is hidden.
  __device__ __forceinline__ Values scores(int i) const {
    Values t = widen(x.get(columns, i));
    Vec<u8, kVec> hidden = {};
    if constexpr (kHasMask) hidden = mask.get(columns, i);
#pragma unroll
    for (int e = 0; e < kVec; ++e) {
      const bool is_seen = (kCausal ? columns.sees(i, e) : columns.sees(i)) && hidden.at[e] == 0;
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

// The totals of what a thread has of a row.
__device__ __forceinline__ Totals totals_of(const Row& row) {
  Totals totals;
  if constexpr (kInRegisters) {
    float max = negative_infinity();
#pragma unroll
    for (int i = 0; i < kVecsPerThread; ++i) max = largest(max, row.scores(i));
    totals.max = max;
#pragma unroll
    for (int i = 0; i < kVecsPerThread; ++i) add(totals, row.scores(i), max);
  } else {
    const int vectors = Columns::vectors(row.columns.visible);
#pragma unroll(kUnroll)
    for (int i = 0; i < vectors; ++i) {
      const Values t = row.scores(i);
      add(totals, t, largest(totals.max, t));
    }
  }
  return totals;
}

// Writes a row; vectors of `next` take the places of those that are done.
__device__ __forceinline__ void write_row(const Row& row, const Row& next, const Totals& totals) {
  const float base = base_of(totals.max), inverse = totals.sum == 0.0f ? 0.0f : 1.0f / totals.sum;
  const int vectors = Columns::vectors(row.columns.all);
#pragma unroll(kUnroll)
  for (int i = 0; i < vectors; ++i) {
    Values y = row.scores(i);
    next.copy(i);
#pragma unroll
    for (int e = 0; e < kVec; ++e) y.at[e] = exp2_approx(y.at[e] - base) * inverse;
    if (row.columns.has(i)) store_values(row.y + column_of(row_lane(), i), y);
  }
}

//% if CLUSTER > 1
extern "C" __global__ void __launch_bounds__(kThreads) __cluster_dims__(kCluster, 1, 1)
//% else
extern "C" __global__ void __launch_bounds__(kThreads)
//% end
    softmax_forward(const __grid_constant__ Params params) {
  RowTotals row_totals;
  //% if STAGES > 0
  for (StagedRows<Row, Params> rows(params); rows.any(); rows.advance())
    write_row(rows.row, rows.next, row_totals(totals_of(rows.row)));
  //% else
  Row row(params, static_cast<i64>(blockIdx.x / kCluster) * kRowsPerBlock + threadIdx.x / kThreadsPerRow);
  row.keep();
  write_row(row, row, row_totals(totals_of(row)));
  //% end
  row_totals.finish();
}
