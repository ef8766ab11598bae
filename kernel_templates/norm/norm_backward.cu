// The gradients of a normalisation with n = (t - m) * factor, factor = 1 / sqrt(mean((t - m)^2) + eps), m = mean(t) if
// kCentred, else 0; t = z, times silu(gate) where the gate comes first:
//
//   du[r, :] = dy[r, :], times silu(gate) where the gate comes last
//   dn[r, :] = du * (weight + kZeroCentred), of two outputs their sum
//   dt[r, :] = factor * (dn - n * mean(n * dn) - m'),  m' = mean(dn) if kCentred, else 0
//   dz[r, :] = dt + dresidual_out[r, :], dt times silu(gate) where the gate comes first
//   dx = dz * row_scale[r] * column_scale, where dropout kept x;  dx1 = dz, where it kept x1;  dresidual = dz
//   dgate = dy * (n * weight + bias), or dt * z where the gate comes first, times the slope of silu
//   sum_rows[.][b, :] = sum of du * n for dweight, of du for dbias, of dz * row_scale[r] * x, where dropout kept x, for
//   dcolumn_scale, over the rows r that block b visits
//
//   dy, dx, x, gate, dgate    [rows..., kHidden]  scalar, any row strides, last one 1; dx may be dy
//   z                         [rows..., kHidden]  z_scalar
//   dresidual_out, dresidual  [rows..., kHidden]  residual_scalar; may be the same
//   weight, bias              [kHidden]           weight_scalar
//   mask, mask1               [rows..., kHidden]  u8: not 0 where dropout kept x, x1
//   sum_rows[.]               [blocks, kHidden]   f32; column_sums adds them up
//
// All else is as in norm_forward. Sums are f32, in an order that depends on the number of rows and blocks alone. A
// block, or a cluster of kCluster of them, walks over rows; kThreadsPerRow neighbouring threads share one, and keep it
// and their columns' sums over rows. With stages the next rows are copied to shared memory meanwhile.

//% include "device/types.cuh"
//% include "device/vector.cuh"
//% include "device/reduce.cuh"
//% include "device/dependent.cuh"

enum class Sums { registers, shared, global };

// Problem: what is computed. Set by the caller.
using scalar = device::${SCALAR};
using z_scalar = device::${Z};
using weight_scalar = device::${WEIGHT};      // none: y was not scaled
using residual_scalar = device::${RESIDUAL};  // none: neither of its gradients is there
using row_scalar = device::${ROW_SCALE};        // none: rows of x were not scaled
using column_scalar = device::${COLUMN_SCALE};  // none: columns of x were not scaled
constexpr int kHidden = ${HIDDEN};
constexpr bool kCentred = ${CENTRED};
constexpr bool kZeroCentred = ${ZERO_CENTRED};
constexpr bool kHasDresidualOut = ${HAS_DRESIDUAL_OUT};
constexpr bool kHasDresidual = ${HAS_DRESIDUAL};
constexpr bool kHasDweight = ${HAS_DWEIGHT};
constexpr bool kHasDbias = ${HAS_DBIAS};
constexpr bool kHasBias = ${HAS_BIAS};
constexpr bool kHasDcolumnScale = ${HAS_DCOLUMN_SCALE};
constexpr int kOutputs = ${OUTPUTS};
constexpr int kAlignment = ${ALIGNMENT};  // elements, of which every address and row stride is a multiple
constexpr int kRowDims = ${ROW_DIMS};     // dimensions in front of the last one

// Schedule: how it is computed. Affects speed, never the result beyond rounding.
constexpr int kThreadsPerRow = ${THREADS_PER_ROW};
constexpr int kRowsPerBlock = ${ROWS_PER_BLOCK};
constexpr int kCluster = ${CLUSTER};
constexpr Sums kSumsIn = Sums::${SUMS};   // where sums over rows are kept
constexpr int kSharedWords = ${SHARED_WORDS};  // for each column
constexpr bool kKeepsRow = ${KEEPS_ROW};  // in registers; else it is read again, from shared memory or L2
constexpr int kStages = ${STAGES};        // rows in shared memory at once; 0: none
constexpr bool kWalks = true;             // a block takes one row after the other

static_assert((kThreadsPerRow & (kThreadsPerRow - 1)) == 0, "rows are reduced by halving");
static_assert(kCluster == 1 || kRowsPerBlock == 1, "a cluster works on one row");
static_assert((kSumsIn == Sums::shared) == (kSharedWords != 0), "shared memory is for sums over rows");
static_assert(kStages == 0 || kRowsPerBlock == 1, "a block walks over rows in shared memory one by one");
static_assert(kStages <= 1 || !kKeepsRow, "two rows are worked on, and neither is kept");
static_assert(kRowsPerBlock == 1 || kSumsIn == Sums::registers, "rows side by side have sums of their own");

using namespace device;

constexpr bool kHasWeight = is_given<weight_scalar>, kHasResidual = is_given<residual_scalar>;
constexpr int kDbiasAt = kHasDweight ? kOutputs : 0, kSumCount = kDbiasAt + (kHasDbias ? kOutputs : 0) + kHasDcolumnScale;
static_assert(kSumsIn != Sums::shared || kSumCount <= kSharedWords, "each sum has its words");
static_assert(kHasResidual || !(kHasDresidualOut || kHasDresidual),
              "gradients of the residual have its type");

constexpr int kThreads = kThreadsPerRow * kRowsPerBlock;
__host__ __device__ constexpr int larger(int a, int b) {
  return a > b ? a : b;
}
template <class T>
constexpr int kBytes = is_given<T> ? int{sizeof(T)} : 1;
constexpr int kWidestBytes = larger(larger(larger(sizeof(scalar), sizeof(z_scalar)), kBytes<column_scalar>),
                                    larger(kBytes<weight_scalar>, kBytes<residual_scalar>));

//% include "rows/vectors.cuh"
constexpr bool kHasDn = true;
//% include "norm/row_moments.cuh"

// One column is its own mean: n and dt are 0, where what rounding left of them would be multiplied by 1 / sqrt(eps).
constexpr bool kIsMean = kCentred && kHidden == 1;
constexpr int kUnroll = kKeepsRow || kSumsIn == Sums::registers ? kVecsPerThread : 2;

//% include "norm/backward_arguments.cuh"
//% if GATE != 'none'
//% include "norm/gate.cuh"
//% end
//% include "norm/backward_row.cuh"
//% include "norm/sums_over_rows.cuh"
//% include "norm/summand_gradients.cuh"

// Whether a thread has an i-th vector of a row that is worked on. Where a block has one row, that row is there.
__device__ __forceinline__ bool has(const Row& row, int i) {
  return kRowsPerBlock == 1 ? has_vector(row.lane, i) : row.has(i);
}

// The moments of a thread's part of a row.
__device__ __forceinline__ Moments moments_of(const Params& params, const Row& row) {
  ThreadMoments thread;
#pragma unroll(kUnroll)
  for (int i = 0; i < kVecsPerThread; ++i) {
    if (!has(row, i)) continue;
    const RowVector v = vector_of(params, row, i);
    thread.add(i, v.t, v.dn);
  }
  return thread.moments(row.lane, row.is_there);
}

// Writes the gradients of a row with those moments and adds to the sums over rows; vectors of `next` take the places of
// those that are done.
__device__ __forceinline__ void pass_row(const Params& params, const Row& row, const Row& next, const Moments& moments,
                                         ColumnSums* sums) {
  const float factor = rsqrtf(moments.squares * (1.0f / kHidden) + params.eps);
  const float along = factor * factor * moments.products * (1.0f / kHidden);
  const float shift = factor * moments.dn * (1.0f / kHidden);
#pragma unroll(kUnroll)
  for (int i = 0; i < kVecsPerThread; ++i) {
    if (!has(row, i)) continue;
    const int column = column_of(row.lane, i);
    const RowVector v = vector_of(params, row, i);
    Values n, dz;
#pragma unroll
    for (int e = 0; e < kVec; ++e) {
      n.at[e] = kIsMean ? 0.0f : (v.t.at[e] - moments.mean) * factor;
      dz.at[e] = kIsMean ? 0.0f : fmaf(-n.at[e], along, fmaf(v.dn.at[e], factor, -shift));
    }
    //% if GATE != 'none'
    pass_gate(params, row, v, n, dz, i);
    //% end
    //% if HAS_DRESIDUAL_OUT
    add(dz, widen(row.dresidual_out.read(row.lane, i)));
    //% end
    next.copy(i);
    //% if HAS_DRESIDUAL
    store_values(params.dresidual + row.at[kDresidual] + column, dz);
    //% end
    //% if HAS_DX1
    pass_x1(params, row, dz, column);
    //% end
    pass_x(params, row, dz, sums, i);
#pragma unroll
    for (int o = 0; o < kOutputs; ++o) {
      if constexpr (kHasDweight) sums[o].add_product(row.lane, i, v.du[o], n);
      if constexpr (kHasDbias) sums[kDbiasAt + o].add_values(row.lane, i, v.du[o]);
    }
  }
}

//% if CLUSTER > 1
extern "C" __global__ void __launch_bounds__(kThreads) __cluster_dims__(kCluster, 1, 1)
//% else
extern "C" __global__ void __launch_bounds__(kThreads)
//% end
    norm_backward(const __grid_constant__ Params params) {
  let_next_kernel_begin();
  const int lane = row_lane(), block = blockIdx.x / kCluster;
  RowMoments row_moments;
  ColumnSums sums[larger(kSumCount, 1)];
#pragma unroll
  for (int s = 0; s < kSumCount; ++s) sums[s].clear(s, params.sum_rows[s] + static_cast<i64>(block) * kHidden, lane);

  //% if STAGES > 1
  // The threads of a row tell each other of it while they pass the row ahead of it.
  StagedRows<Row, Params> rows(params);
  if (rows.any()) row_moments.tell(moments_of(params, rows.row));
  for (; rows.any(); rows.advance()) {
    const Moments moments = row_moments.hear();
    if (rows.has_following()) row_moments.tell(moments_of(params, rows.following()));
    pass_row(params, rows.row, rows.next, moments, sums);
  }
  //% elif STAGES == 1
  for (StagedRows<Row, Params> rows(params); rows.any(); rows.advance()) {
    rows.row.keep();
    pass_row(params, rows.row, rows.next, row_moments(moments_of(params, rows.row)), sums);
  }
  //% else
  // A block's rows are `step` apart; rows side by side may have different ends.
  const i64 step = static_cast<i64>(gridDim.x / kCluster) * kRowsPerBlock, place = threadIdx.x / kThreadsPerRow;
#pragma unroll 1
  for (i64 first = static_cast<i64>(block) * kRowsPerBlock; first < params.rows; first += step) {
    Row row(params, first + place, 0);
    row.keep();
    pass_row(params, row, row, row_moments(moments_of(params, row)), sums);
  }
  //% end
#pragma unroll
  for (int s = 0; s < kSumCount; ++s) write_sums(sums[s], params.sum_rows[s], block, lane);
}
