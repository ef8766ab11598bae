// y[r, c] = exp(scale * x[r, c]) / sum of exp(scale * x[r, :]) over the visible columns; 0 in the others
//
//   x, y  [rows..., columns]  scalar, any row strides, last one 1; y may be x
//   mask  [rows..., columns]  u8, any row strides, 0 too, last one 1; not 0: hidden
//
// A row without a visible column above -inf is 0. Sums are f32.
//
// kThreadsPerRow neighbouring threads share a row, or as many in each of the kCluster blocks of a cluster. A row of up
// to kMaxRegisterValues per thread stays in registers; a longer one is read again, then from L2.

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

// One row of every tensor.
struct Row {
  scalar* y;
  const scalar* x;
  const u8* mask;
  float factor;
  int columns, visible;

  // Exponents of 2; -inf where a column is hidden.
  __device__ __forceinline__ Values scores(int column) const {
    Values t;
    if (kCausal && column >= visible) {
#pragma unroll
      for (int e = 0; e < kVec; ++e) t.at[e] = negative_infinity();
      return t;
    }
    t = kInRegisters ? stream_values(x + column) : load_values(x + column);
    Vec<u8, kVec> hidden{};
    if constexpr (kHasMask) hidden = load<u8, kVec>(mask + column);
#pragma unroll
    for (int e = 0; e < kVec; ++e) {
      const bool is_hidden = (kHasMask && hidden.at[e] != 0) || (kCausal && column + e >= visible);
      t.at[e] = is_hidden ? negative_infinity() : t.at[e] * factor;
    }
    return t;
  }
};

// Adds a vector of scores to a thread's totals and turns them into 2^(t - base_of(max)) of the new maximum.
__device__ __forceinline__ void add(Totals& totals, const Values& t) {
  float max = totals.max;
#pragma unroll
  for (int e = 0; e < kVec; ++e) max = fmaxf(max, t.at[e]);
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
  const i64 number = static_cast<i64>(blockIdx.x / kCluster) * kRowsPerBlock + threadIdx.x / kThreadsPerRow;
  const bool active = kRowsPerBlock == 1 || number < params.rows;
  const int lane = row_lane();
  i64 offset[3];
  row_offsets(offset, params.extent, params.strides, number);
  const Row row{params.y + offset[0], params.x + offset[1],  params.mask + offset[2], params.factor,
                params.columns,       visible_columns(params.columns, params.queries, number)};
  const auto has = [&](int i) { return active && column_of(lane, i) < row.columns; };

  Values kept[kInRegisters ? kVecsPerThread : 1];
  Totals totals;
  if constexpr (kInRegisters) {
#pragma unroll
    for (int i = 0; i < kVecsPerThread; ++i) {
      if (!has(i)) continue;
      kept[i] = row.scores(column_of(lane, i));
#pragma unroll
      for (int e = 0; e < kVec; ++e) totals.max = fmaxf(totals.max, kept[i].at[e]);
    }
    const float base = base_of(totals.max);
#pragma unroll
    for (int i = 0; i < kVecsPerThread; ++i) {
      if (!has(i)) continue;
#pragma unroll
      for (int e = 0; e < kVec; ++e) {
        kept[i].at[e] = exp2_approx(kept[i].at[e] - base);
        totals.sum += kept[i].at[e];
      }
    }
  } else {
#pragma unroll(kUnroll)
    for (int i = 0; i < kVecsPerThread; ++i) {
      if (has(i)) add(totals, row.scores(column_of(lane, i)));
    }
  }
  const float own_max = totals.max;
  totals = row_totals(totals);
  const float base = base_of(totals.max);
  float inverse = totals.sum == 0.0f ? 0.0f : 1.0f / totals.sum;
  if constexpr (kInRegisters) inverse *= exp2_approx(own_max - base);
#pragma unroll(kUnroll)
  for (int i = 0; i < kVecsPerThread; ++i) {
    if (!has(i)) continue;
    const int column = column_of(lane, i);
    Values y = kInRegisters ? kept[kInRegisters ? i : 0] : row.scores(column);
#pragma unroll
    for (int e = 0; e < kVec; ++e) y.at[e] = (kInRegisters ? y.at[e] : exp2_approx(y.at[e] - base)) * inverse;
    store_values(row.y + column, y);
  }
  finish_row_totals();
}
