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

//% include "softmax/columns.cuh"
//% include "norm/row_sums.cuh"

struct Params {
  scalar* dx;
  const scalar *dy, *y;
  i64 rows;
  i64 extent[5];
  RowStrides strides[3];  // dx, dy, y
  float scale;
  int columns, queries;
};

using Vector = Vec<scalar, kVec>;

//% if CLUSTER > 1
extern "C" __global__ void __launch_bounds__(kThreads) __cluster_dims__(kCluster, 1, 1)
//% else
extern "C" __global__ void __launch_bounds__(kThreads)
//% end
    softmax_backward(const __grid_constant__ Params params) {
  const i64 number = static_cast<i64>(blockIdx.x / kCluster) * kRowsPerBlock + threadIdx.x / kThreadsPerRow;
  const bool active = kRowsPerBlock == 1 || number < params.rows;
  const int lane = row_lane(), visible = visible_columns(params.columns, params.queries, number);
  i64 offset[3];
  row_offsets(offset, params.extent, params.strides, number);
  const auto has = [&](int i) { return active && column_of(lane, i) < params.columns; };
  const auto is_seen = [&](int i) { return !kCausal || column_of(lane, i) < visible; };
  // Of a vector that holds the last visible column, the others are 0 in y.
  const auto load_one = [&](const scalar* row, int i) {
    if (!is_seen(i)) return Vector{};
    return kInRegisters ? load_streaming<scalar, kVec>(row + column_of(lane, i))
                        : load<scalar, kVec>(row + column_of(lane, i));
  };
  const scalar* const dy = params.dy + offset[1];
  const scalar* const y = params.y + offset[2];

  Vector kept_dy[kInRegisters ? kVecsPerThread : 1], kept_y[kInRegisters ? kVecsPerThread : 1];
  float sum = 0.0f;
#pragma unroll(kUnroll)
  for (int i = 0; i < kVecsPerThread; ++i) {
    if (!has(i)) continue;
    const int k = kInRegisters ? i : 0;
    kept_dy[k] = load_one(dy, i);
    kept_y[k] = load_one(y, i);
    const Values a = widen(kept_dy[k]), b = widen(kept_y[k]);
#pragma unroll
    for (int e = 0; e < kVec; ++e) sum = fmaf(a.at[e], b.at[e], sum);
  }
  RowSums row_sums;
  sum = row_sums(sum);
#pragma unroll(kUnroll)
  for (int i = 0; i < kVecsPerThread; ++i) {
    if (!has(i)) continue;
    const int k = kInRegisters ? i : 0;
    if constexpr (!kInRegisters) {
      kept_dy[k] = load_one(dy, i);
      kept_y[k] = load_one(y, i);
    }
    const Values a = widen(kept_dy[k]), b = widen(kept_y[k]);
    Values dx;
#pragma unroll
    for (int e = 0; e < kVec; ++e) dx.at[e] = params.scale * b.at[e] * (a.at[e] - sum);
    store_values(params.dx + offset[0] + column_of(lane, i), dx);
  }
  row_sums.finish();
}
