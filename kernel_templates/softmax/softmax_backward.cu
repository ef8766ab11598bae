// dx[r, c] = scale * y[r, c] * (dy[r, c] - sum of y[r, :] * dy[r, :])
//
//   y, dy, dx  [rows..., columns]  scalar, any row strides, last one 1; dx may be y or dy
//
// y is what softmax_forward wrote: 0 where columns were hidden, which makes dx 0 there. Sums are f32. Threads share rows as
// in softmax_forward.

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

static_assert((kThreadsPerRow & (kThreadsPerRow - 1)) == 0, "rows are reduced by halving");
static_assert(kCluster == 1 || kRowsPerBlock == 1, "a cluster works on one row");

using namespace device;

constexpr int kThreads = kThreadsPerRow * kRowsPerBlock;
constexpr int kRegisterWords = kMostColumns / (kThreadsPerRow * kCluster) * 2 * sizeof(scalar) / 4;

//% include "softmax/columns.cuh"
//% include "rows/sums.cuh"

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
  const scalar *dy, *y;
  Columns columns;
  Vector kept_dy[kInRegisters ? kVecsPerThread : 1], kept_y[kInRegisters ? kVecsPerThread : 1];

  // Vector i is at [at(i)] from now on.
  __device__ __forceinline__ static int at(int i) { return kInRegisters ? i : 0; }
  __device__ __forceinline__ void load_one(int i) {
    kept_dy[at(i)] = columns.load_one(dy, i);
    kept_y[at(i)] = columns.load_one(y, i);
  }
  // 0 in columns that do not count, whatever is there.
  __device__ __forceinline__ Values seen(const Vector& vector, int i) const {
    Values values = widen(vector);
#pragma unroll
    for (int e = 0; e < kVec; ++e)
      values.at[e] = (kCausal ? columns.sees(i, e) : columns.sees(i)) ? values.at[e] : 0.0f;
    return values;
  }
};

//% if CLUSTER > 1
extern "C" __global__ void __launch_bounds__(kThreads) __cluster_dims__(kCluster, 1, 1)
//% else
extern "C" __global__ void __launch_bounds__(kThreads)
//% end
    softmax_backward(const __grid_constant__ Params params) {
  const i64 place = static_cast<i64>(blockIdx.x / kCluster) * kRowsPerBlock + threadIdx.x / kThreadsPerRow;
  const bool active = kRowsPerBlock == 1 || place < params.rows;
  const i64 number = active ? place : 0;
  const int lane = row_lane();
  i64 offset[3];
  row_offsets(offset, params.extent, params.strides, number);
  Row row{params.dy + offset[1], params.y + offset[2],
          {lane, visible_columns(params.columns, params.queries, number)}};

  if constexpr (kInRegisters) {
#pragma unroll
    for (int i = 0; i < kVecsPerThread; ++i) row.load_one(i);
  }
  float sum = 0.0f;
#pragma unroll(kUnroll)
  for (int i = 0; i < kVecsPerThread; ++i) {
    if constexpr (!kInRegisters) row.load_one(i);
    const Values dy = row.seen(row.kept_dy[Row::at(i)], i), y = row.seen(row.kept_y[Row::at(i)], i);
#pragma unroll
    for (int e = 0; e < kVec; ++e) sum = fmaf(dy.at[e], y.at[e], sum);
  }
  RowSums row_sums;
  sum = row_sums(sum);
#pragma unroll(kUnroll)
  for (int i = 0; i < kVecsPerThread; ++i) {
    if constexpr (!kInRegisters) row.load_one(i);
    const Values dy = row.seen(row.kept_dy[Row::at(i)], i), y = row.seen(row.kept_y[Row::at(i)], i);
    Values dx;
#pragma unroll
    for (int e = 0; e < kVec; ++e) dx.at[e] = params.scale * y.at[e] * (dy.at[e] - sum);
    const int column = column_of(lane, i);
    if (active && column < params.columns) store_values(params.dx + offset[0] + column, dx);
  }
  row_sums.finish();
}
