// dx[r, c] = scale * y[r, c] * (dy[r, c] - sum of y[r, :] * dy[r, :])
//
//   y, dy, dx  [rows..., columns]  scalar, any row strides, last one 1; dx may be y or dy
//
// y is what softmax_forward wrote: 0 where columns were hidden, which makes dx 0 there. Sums are f32. Threads share
// rows and keep them as in softmax_forward.

//% include "device/types.cuh"
//% include "device/vector.cuh"
//% include "device/reduce.cuh"
//% if CLUSTER > 1
//% include "device/cluster.cuh"
//% end

// Problem: what is computed. Set by the caller.
using scalar = device::${SCALAR};
constexpr int kMostColumns = ${MOST_COLUMNS};
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
constexpr int kRegisterWords = kMostColumns / (kThreadsPerRow * kCluster) * 2 * sizeof(scalar) / 4;

//% include "softmax/columns.cuh"
//% if STAGES > 0
//% include "rows/staged_sums.cuh"
//% else
//% include "rows/sums.cuh"
//% end

struct Params {
  scalar* dx;
  const scalar *dy, *y;
  i64 rows;
  i64 extent[5];
  RowStrides strides[3];  // dx, dy, y
  float scale;
  int columns, queries;
};

// A row of dy and y, the part of it that a thread has.
struct Row {
  Columns columns;
  RowPart<scalar> dy, y;
  scalar* dx;

  //% if STAGES > 0
  __device__ __forceinline__ Row(const Params& params, i64 number, int stage)
      : dy{nullptr, {0, stage}}, y{nullptr, {kStages * StagedRow<scalar>::kBytes, stage}} {
    find(params, number);
  }
  __device__ __forceinline__ void copy(int i) const {
    dy.copy(columns, i);
    y.copy(columns, i);
  }
  //% else
  __device__ __forceinline__ Row(const Params& params, i64 number) { find(params, number); }
  __device__ __forceinline__ void copy(int) const {}
  __device__ __forceinline__ void keep() {
    if constexpr (!kInRegisters) return;
#pragma unroll
    for (int i = 0; i < kVecsPerThread; ++i) {
      dy.keep(columns, i);
      y.keep(columns, i);
    }
  }
  //% end
  __device__ __forceinline__ void find(const Params& params, i64 number) {
    columns = columns_of(params, number);
    i64 offset[3];
    row_offsets(offset, params.extent, params.strides, is_row(params, number) ? number : 0);
    dx = params.dx + offset[0];
    dy.row = params.dy + offset[1];
    y.row = params.y + offset[2];
  }

  // A vector of dy or y, 0 in columns that do not count, whatever is there.
  __device__ __forceinline__ Values seen(const RowPart<scalar>& part, int i) const {
    Values values = widen(part.get(columns, i));
#pragma unroll
    for (int e = 0; e < kVec; ++e)
      values.at[e] = (kCausal ? columns.sees(i, e) : columns.sees(i)) ? values.at[e] : 0.0f;
    return values;
  }
};

// What a thread has of the sum of y[r, :] * dy[r, :].
__device__ __forceinline__ float sum_of(const Row& row) {
  float sum = 0.0f;
  const int vectors = Columns::vectors(row.columns.visible);
#pragma unroll(kUnroll)
  for (int i = 0; i < vectors; ++i) {
    const Values dy = row.seen(row.dy, i), y = row.seen(row.y, i);
#pragma unroll
    for (int e = 0; e < kVec; ++e) sum = fmaf(dy.at[e], y.at[e], sum);
  }
  return sum;
}

// Writes a row; vectors of `next` take the places of those that are done.
__device__ __forceinline__ void write_row(const Row& row, const Row& next, float sum, float scale) {
  const int vectors = Columns::vectors(row.columns.all);
#pragma unroll(kUnroll)
  for (int i = 0; i < vectors; ++i) {
    const Values dy = row.seen(row.dy, i), y = row.seen(row.y, i);
    next.copy(i);
    Values dx;
#pragma unroll
    for (int e = 0; e < kVec; ++e) dx.at[e] = scale * y.at[e] * (dy.at[e] - sum);
    if (row.columns.has(i)) store_values(row.dx + column_of(row_lane(), i), dx);
  }
}

//% if CLUSTER > 1
extern "C" __global__ void __launch_bounds__(kThreads) __cluster_dims__(kCluster, 1, 1)
//% else
extern "C" __global__ void __launch_bounds__(kThreads)
//% end
    softmax_backward(const __grid_constant__ Params params) {
  //% if STAGES > 0
  StagedRowSums<1> row_sums;
  for (StagedRows<Row, Params> rows(params); rows.any(); rows.advance()) {
    float sum[1] = {sum_of(rows.row)};
    row_sums(sum);
    write_row(rows.row, rows.next, sum[0], params.scale);
  }
  //% else
  RowSums row_sums;
  Row row(params, static_cast<i64>(blockIdx.x / kCluster) * kRowsPerBlock + threadIdx.x / kThreadsPerRow);
  row.keep();
  write_row(row, row, row_sums(sum_of(row)), params.scale);
  row_sums.finish();
  //% end
}
