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
// block, or a cluster of kCluster of them, walks over rows; kThreadsPerRow neighbouring threads share one, and keep it,
// the row that is next, and their columns' sums over rows.

//% include "device/types.cuh"
//% include "device/vector.cuh"
//% include "device/reduce.cuh"
//% if CLUSTER > 1
//% include "device/cluster.cuh"
//% end

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
constexpr bool kKeepsRow = ${KEEPS_ROW};  // in registers; else it is read again, then from L2
constexpr bool kLoadsAhead = ${LOADS_AHEAD};  // the next row, while this one is summed

static_assert((kThreadsPerRow & (kThreadsPerRow - 1)) == 0, "rows are reduced by halving");
static_assert(kCluster == 1 || kRowsPerBlock == 1, "a cluster works on one row");
static_assert((kSumsIn == Sums::shared) == (kSharedWords != 0), "shared memory is for sums over rows");
static_assert(kKeepsRow || !kLoadsAhead, "a row that is loaded ahead is kept");
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
//% include "rows/sums.cuh"

constexpr int kUnroll = kKeepsRow ? kVecsPerThread : 2;

//% include "norm/backward_arguments.cuh"
//% if GATE != 'none'
//% include "norm/gate.cuh"
//% end
//% include "norm/backward_row.cuh"
//% include "norm/sums_over_rows.cuh"
//% include "norm/summand_gradients.cuh"

//% if CLUSTER > 1
extern "C" __global__ void __launch_bounds__(kThreads) __cluster_dims__(kCluster, 1, 1)
//% else
extern "C" __global__ void __launch_bounds__(kThreads)
//% end
    norm_backward(const __grid_constant__ Params params) {
  extern __shared__ float shared[];
  const int lane = row_lane();
  const int block = blockIdx.x / kCluster, blocks = gridDim.x / kCluster;
  RowSums row_sums;
  ColumnSums sums[larger(kSumCount, 1)];
#pragma unroll
  for (int s = 0; s < kSumCount; ++s)
    sums[s].clear(kSumsIn == Sums::global ? params.sum_rows[s] + static_cast<i64>(block) * kHidden
                                          : shared + s * kVecsPerThread * kVec * kThreadsPerRow,
                  lane);

  // A block's rows are `step` apart; rows side by side may have different ends.
  const i64 step = static_cast<i64>(blocks) * kRowsPerBlock, place = threadIdx.x / kThreadsPerRow;
  i64 first = static_cast<i64>(block) * kRowsPerBlock;
  const auto is_row = [&](i64 row) { return kRowsPerBlock == 1 || row < params.rows; };
  const auto begin = [&](Row& row, i64 number) {
    static_cast<RowPlace&>(row) = place_of(params, number, is_row(number));
    if constexpr (kKeepsRow) row.load(params, lane, is_row(number));
  };
  Row next;
  if (kLoadsAhead && first < params.rows) begin(next, first + place);

#pragma unroll 1
  for (; first < params.rows; first += step) {
    const bool active = is_row(first + place);
    if constexpr (!kLoadsAhead) begin(next, first + place);
    const Row row = next;
    if (kLoadsAhead && first + step < params.rows) begin(next, first + step + place);
    const auto has = [&](int i) { return active && has_vector(lane, i); };

    // Without a mean to subtract, the products with n are those with t.
    float totals[2] = {};  // t and dn, or t^2 and t * dn
#pragma unroll(kUnroll)
    for (int i = 0; i < kVecsPerThread; ++i) {
      if (!has(i)) continue;
      const RowVector v = vector_of(params, row, lane, i);
#pragma unroll
      for (int e = 0; e < kVec; ++e) {
        totals[0] = kCentred ? totals[0] + v.t.at[e] : fmaf(v.t.at[e], v.t.at[e], totals[0]);
        totals[1] = kCentred ? totals[1] + v.dn.at[e] : fmaf(v.t.at[e], v.dn.at[e], totals[1]);
      }
    }
    row_sums(totals);
    const float mean = kCentred ? totals[0] * (1.0f / kHidden) : 0.0f;
    const float shift = kCentred ? totals[1] * (1.0f / kHidden) : 0.0f;
    if constexpr (kCentred) {
      totals[0] = totals[1] = 0.0f;
#pragma unroll(kUnroll)
      for (int i = 0; i < kVecsPerThread; ++i) {
        if (!has(i)) continue;
        const RowVector v = vector_of(params, row, lane, i);
#pragma unroll
        for (int e = 0; e < kVec; ++e) {
          totals[0] = fmaf(v.t.at[e] - mean, v.t.at[e] - mean, totals[0]);
          totals[1] = fmaf(v.t.at[e] - mean, v.dn.at[e], totals[1]);
        }
      }
      row_sums(totals);
    }
    const float factor = rsqrtf(totals[0] * (1.0f / kHidden) + params.eps);
    const float along = factor * totals[1] * (1.0f / kHidden);
#pragma unroll(kUnroll)
    for (int i = 0; i < kVecsPerThread; ++i) {
      if (!has(i)) continue;
      const int column = column_of(lane, i);
      const RowVector v = vector_of(params, row, lane, i);
      Values n, dz;
#pragma unroll
      for (int e = 0; e < kVec; ++e) {
        n.at[e] = (v.t.at[e] - mean) * factor;
        dz.at[e] = factor * (fmaf(-n.at[e], along, v.dn.at[e]) - shift);
      }
      //% if GATE != 'none'
      pass_gate(params, row, v, n, dz, lane, i);
      //% end
      pass_residual(dz, params.dresidual_out + row.at[kDresidualOut] + column,
                    params.dresidual + row.at[kDresidual] + column);
      //% if HAS_DX1
      pass_x1(params, row, dz, column);
      //% end
      pass_x(params, row, dz, sums, lane, i);
#pragma unroll
      for (int o = 0; o < kOutputs; ++o) {
        if constexpr (kHasDweight) sums[o].add_product(lane, i, v.du[o], n);
        if constexpr (kHasDbias) sums[kDbiasAt + o].add_values(lane, i, v.du[o]);
      }
    }
  }
#pragma unroll
  for (int s = 0; s < kSumCount; ++s) write_sums(sums[s], params.sum_rows[s], block, lane);
  row_sums.finish();
}
