// z[r, :] = x[r, :] * row_scale[r] * column_scale, where dropout keeps it, + x1[r, :] + residual[r, :]
// t[r, :] = z[r, :], times silu(gate[r, :]) where the gate comes first
// y[r, :] = (t[r, :] - m[r]) / sqrt(mean((t[r, :] - m[r])^2) + eps) * (weight + kZeroCentred) + bias
// with m[r] = mean(t[r, :]) if kCentred (LayerNorm), else 0 (RMSNorm); times silu(gate[r, :]) where the gate comes
// last. A second output, y1, has a weight and a bias of its own.
//
//   x, x1, gate, y          [rows..., kHidden]  scalar, any row strides, last one 1; y may be x
//   residual, residual_out  [rows..., kHidden]  residual_scalar; residual_out gets z, and may be residual
//   row_scale               [rows...]           row_scalar
//   column_scale            [kHidden]           column_scalar
//   weight, bias            [kHidden]           weight_scalar
//   mask, mask1             [rows..., kHidden]  u8: 1 where dropout kept x, x1
//
// With kQuantised y is an 8-bit type: y / scale, where scale is given, or is the largest |y[r, :]| over the largest
// value of that type, and written. x_rows and y_rows say which row of x is summed, and which row of y written: row
// n - 1 where they have n, none where they have 0.
//
// Sums are f32. Ba et al. 2016, arXiv:1607.06450; Zhang & Sennrich 2019, arXiv:1910.07467; gates: Dao & Gu 2024,
// arXiv:2405.21060.
//
// kThreadsPerRow neighbouring threads share a row, or as many in each of the kCluster blocks of a cluster. A
// row of up to kMostKept values per thread stays in registers between the passes; a longer one is read
// again, then from L2.

//% include "device/types.cuh"
//% include "device/vector.cuh"
//% include "device/reduce.cuh"
//% if CLUSTER > 1
//% include "device/cluster.cuh"
//% end
//% if QUANTISED != 'none'
//% include "device/quantised.cuh"
//% end

// Problem: what is computed. Set by the caller.
using scalar = device::${SCALAR};
using weight_scalar = device::${WEIGHT};      // none: y is not scaled
using residual_scalar = device::${RESIDUAL};  // none: nothing is added, and z is not written
using row_scalar = device::${ROW_SCALE};      // none: rows of x are not scaled
using column_scalar = device::${COLUMN_SCALE};  // none: columns of x are not scaled
using quantised = device::${QUANTISED};       // none: y is of type scalar
constexpr int kHidden = ${HIDDEN};
constexpr bool kCentred = ${CENTRED};
constexpr bool kHasBias = ${HAS_BIAS};
constexpr bool kZeroCentred = ${ZERO_CENTRED};
constexpr bool kAddsResidual = ${ADDS_RESIDUAL};
constexpr bool kHasResidualOut = ${HAS_RESIDUAL_OUT};
constexpr int kOutputs = ${OUTPUTS};
constexpr int kAlignment = ${ALIGNMENT};  // elements, of which every address and row stride is a multiple
constexpr int kRowDims = ${ROW_DIMS};     // dimensions in front of the last one

// Schedule: how it is computed. Affects speed, never the result beyond rounding.
constexpr int kThreadsPerRow = ${THREADS_PER_ROW};
constexpr int kRowsPerBlock = ${ROWS_PER_BLOCK};
constexpr int kCluster = ${CLUSTER};
constexpr int kMostKept = ${MOST_KEPT};  // values of a row that a thread keeps in registers, at most

static_assert((kThreadsPerRow & (kThreadsPerRow - 1)) == 0, "rows are reduced by halving");
static_assert(kCluster == 1 || kRowsPerBlock == 1, "a cluster works on one row");

using namespace device;

constexpr bool kHasWeight = is_given<weight_scalar>, kHasResidual = is_given<residual_scalar>;
static_assert(kHasWeight || !(kHasBias || kZeroCentred || kOutputs == 2), "bias and weights have one type");
static_assert(kHasResidual || !kHasResidualOut, "z is written in the residual's type");
static_assert(kHasResidualOut || kAddsResidual, "the residual's type is of one tensor at least");

template <class Quantised>
struct Output {
  using type = Quantised;
};
template <>
struct Output<none> {
  using type = scalar;
};
using output = Output<quantised>::type;

constexpr int kThreads = kThreadsPerRow * kRowsPerBlock;
__host__ __device__ constexpr int larger(int a, int b) {
  return a > b ? a : b;
}
template <class T>
constexpr int kBytes = is_given<T> ? int{sizeof(T)} : 1;
constexpr int kWidestBytes = larger(larger(sizeof(scalar), kBytes<column_scalar>),
                                    larger(kBytes<weight_scalar>, kBytes<residual_scalar>));

//% include "rows/vectors.cuh"
//% include "rows/sums.cuh"

constexpr bool kInRegisters = kVecsPerThread * kVec <= kMostKept && kVecsPerThread * kVec * kThreads <= 24576;
constexpr int kUnroll = kInRegisters ? kVecsPerThread : kMostKept / 16;

//% include "norm/forward_arguments.cuh"
//% include "norm/summands.cuh"

// n * weight + bias. The template parameter stands for weight_scalar.
template <class Weight>
__device__ __forceinline__ void weigh(Values& n, const Weight* weight, const Weight* bias, int column) {
  if constexpr (is_given<Weight>) {
    const Values w = load_values(weight + column);
    Values b{};
    if constexpr (kHasBias) b = load_values(bias + column);
#pragma unroll
    for (int e = 0; e < kVec; ++e) n.at[e] = fmaf(n.at[e], kZeroCentred ? w.at[e] + 1.0f : w.at[e], b.at[e]);
  }
}

// The outputs of kVec columns, given what is normalised there.
struct Outputs {
  Values of[kOutputs];
};
__device__ __forceinline__ Outputs outputs_of(const Params& params, const Row& row, Values n, float mean, float factor,
                                              int column) {
#pragma unroll
  for (int e = 0; e < kVec; ++e) n.at[e] = (n.at[e] - mean) * factor;
  //% if GATE == 'last'
  const Values gate = silu(load_values(params.gate + row.at[kGate] + column));
  //% end
  Outputs y;
#pragma unroll
  for (int o = 0; o < kOutputs; ++o) {
    y.of[o] = n;
    weigh(y.of[o], params.weight[o], params.bias[o], column);
    //% if GATE == 'last'
    multiply(y.of[o], gate);
    //% end
  }
  return y;
}

//% if SCALES != 'none'
//% include "norm/quantise.cuh"
//% end

//% if CLUSTER > 1
extern "C" __global__ void __launch_bounds__(kThreads) __cluster_dims__(kCluster, 1, 1)
//% else
extern "C" __global__ void __launch_bounds__(kThreads)
//% end
    norm_forward(const __grid_constant__ Params params) {
  const i64 number = static_cast<i64>(blockIdx.x / kCluster) * kRowsPerBlock + threadIdx.x / kThreadsPerRow;
  const bool active = kRowsPerBlock == 1 || number < params.rows;
  const int lane = row_lane();
  const Row row = row_of(params, number, active);
  const auto has = [&](int i) { return active && has_vector(lane, i); };
  RowSums row_sum;

  Values kept[kInRegisters ? kVecsPerThread : 1];
  float sum = 0.0f;
  const auto again = [&](int i) {
    return kInRegisters ? kept[kInRegisters ? i : 0] : norm_input_again(params, row, column_of(lane, i));
  };
#pragma unroll(kUnroll)
  for (int i = 0; i < kVecsPerThread; ++i) {
    if (!has(i)) continue;
    const Values z = norm_input(params, row, column_of(lane, i), true);
    if constexpr (kInRegisters) kept[i] = z;
#pragma unroll
    for (int e = 0; e < kVec; ++e) sum = kCentred ? sum + z.at[e] : fmaf(z.at[e], z.at[e], sum);
  }
  sum = row_sum(sum);
  float mean = 0.0f;
  if constexpr (kCentred) {
    mean = sum * (1.0f / kHidden);
    sum = 0.0f;
#pragma unroll(kUnroll)
    for (int i = 0; i < kVecsPerThread; ++i) {
      if (!has(i)) continue;
      const Values z = again(i);
#pragma unroll
      for (int e = 0; e < kVec; ++e) sum = fmaf(z.at[e] - mean, z.at[e] - mean, sum);
    }
    sum = row_sum(sum);
  }
  const float factor = rsqrtf(sum * (1.0f / kHidden) + params.eps);
  const auto outputs = [&](int i) { return outputs_of(params, row, again(i), mean, factor, column_of(lane, i)); };
  //% if SCALES == 'row'
  float largest[kOutputs] = {};
#pragma unroll(kUnroll)
  for (int i = 0; i < kVecsPerThread; ++i) {
    if (!has(i)) continue;
    const Outputs y = outputs(i);
#pragma unroll
    for (int o = 0; o < kOutputs; ++o) {
#pragma unroll
      for (int e = 0; e < kVec; ++e) largest[o] = fmaxf(largest[o], fabsf(y.of[o].at[e]));
    }
  }
  row_sum.largest(largest);
  const Scales scales = row_scales(params, row, largest, active && lane == 0);
  //% elif SCALES == 'tensor'
  const Scales scales = tensor_scales(params);
  //% end
#pragma unroll(kUnroll)
  for (int i = 0; i < kVecsPerThread; ++i) {
    if (!has(i)) continue;
    Outputs y = outputs(i);
    //% if SCALES != 'none'
    scales.divide(y);
    //% end
    //% if Y_ROWS
    if (!row.has_y) continue;
    //% end
    store_values(params.y[0] + row.at[kY] + column_of(lane, i), y.of[0]);
    if constexpr (kOutputs == 2) store_values(params.y[1] + row.at[kY1] + column_of(lane, i), y.of[kOutputs - 1]);
  }
  row_sum.finish();
}
