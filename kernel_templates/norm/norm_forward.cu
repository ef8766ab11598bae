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
// again, then from L2. With stages rows wait in shared memory; where blocks walk over rows, they copy the next ones
// there meanwhile.

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
constexpr int kStages = ${STAGES};       // rows in shared memory at once; 0: none
constexpr bool kWalks = ${WALKS};        // a block takes one row after the other

static_assert((kThreadsPerRow & (kThreadsPerRow - 1)) == 0, "rows are reduced by halving");
static_assert(kCluster == 1 || kRowsPerBlock == 1, "a cluster works on one row");
static_assert(kStages == 0 || kRowsPerBlock == 1, "a block has one row at a time");
static_assert(kWalks ? kStages > 0 : kStages <= 1, "who walks over rows has them in shared memory, where others have one");

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
//% if SCALES == 'row'
//% include "rows/sums.cuh"
//% end
constexpr bool kHasDn = false;
//% include "norm/row_moments.cuh"

constexpr bool kInRegisters = kVecsPerThread * kVec <= kMostKept && kVecsPerThread * kVec * kThreads <= 24576;
constexpr int kUnroll = kInRegisters ? kVecsPerThread : kMostKept / 16;

//% include "norm/forward_arguments.cuh"
//% include "norm/forward_row.cuh"
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
                                              int i) {
#pragma unroll
  for (int e = 0; e < kVec; ++e) n.at[e] = (n.at[e] - mean) * factor;
  //% if GATE == 'last'
  const Values gate = silu(widen(row.gate.read(row.lane, i)));
  //% end
  Outputs y;
#pragma unroll
  for (int o = 0; o < kOutputs; ++o) {
    y.of[o] = n;
    weigh(y.of[o], params.weight[o], params.bias[o], column_of(row.lane, i));
    //% if GATE == 'last'
    multiply(y.of[o], gate);
    //% end
  }
  return y;
}

//% if SCALES != 'none'
//% include "norm/quantise.cuh"
//% end

// What the threads of a row tell each other.
struct RowTalk {
  RowMoments moments;
  //% if SCALES == 'row'
  RowSums sums;
  //% end
};

// Writes a row's outputs; vectors of `next` take the places of those that are done.
__device__ __forceinline__ void write_row(const Params& params, const Row& row, const Row& next, RowTalk& talk) {
  Values kept[kInRegisters ? kVecsPerThread : 1];
  ThreadMoments thread;
#pragma unroll(kUnroll)
  for (int i = 0; i < kVecsPerThread; ++i) {
    if (!row.has(i)) continue;
    const Values z = norm_input(params, row, i, true);
    if constexpr (kInRegisters) kept[i] = z;
    thread.add(i, z);
  }
  const Moments moments = talk.moments(thread.moments(row.lane, row.is_there));
  const float factor = rsqrtf(moments.squares * (1.0f / kHidden) + params.eps);
  const auto outputs = [&](int i) {
    const Values z = kInRegisters ? kept[kInRegisters ? i : 0] : norm_input_again(params, row, i);
    return outputs_of(params, row, z, moments.mean, factor, i);
  };
  //% if SCALES == 'row'
  float largest[kOutputs] = {};
#pragma unroll(kUnroll)
  for (int i = 0; i < kVecsPerThread; ++i) {
    if (!row.has(i)) continue;
    const Outputs y = outputs(i);
#pragma unroll
    for (int o = 0; o < kOutputs; ++o) {
#pragma unroll
      for (int e = 0; e < kVec; ++e) largest[o] = fmaxf(largest[o], fabsf(y.of[o].at[e]));
    }
  }
  talk.sums.largest(largest);
  const Scales scales = row_scales(params, row, largest, row.is_there && row.lane == 0);
  //% elif SCALES == 'tensor'
  const Scales scales = tensor_scales(params);
  //% end
#pragma unroll(kUnroll)
  for (int i = 0; i < kVecsPerThread; ++i) {
    if (!row.has(i)) continue;
    Outputs y = outputs(i);
    next.copy(i);
    //% if SCALES != 'none'
    scales.divide(y);
    //% end
    //% if Y_ROWS
    if (!row.has_y) continue;
    //% end
    store_values(params.y[0] + row.at[kY] + column_of(row.lane, i), y.of[0]);
    if constexpr (kOutputs == 2) store_values(params.y[1] + row.at[kY1] + column_of(row.lane, i), y.of[kOutputs - 1]);
  }
}

//% if CLUSTER > 1
extern "C" __global__ void __launch_bounds__(kThreads) __cluster_dims__(kCluster, 1, 1)
//% else
extern "C" __global__ void __launch_bounds__(kThreads)
//% end
    norm_forward(const __grid_constant__ Params params) {
  RowTalk talk;
  //% if STAGES > 0
  for (StagedRows<Row, Params> rows(params); rows.any(); rows.advance())
    write_row(params, rows.row, rows.next, talk);
  //% else
  const Row row(params, static_cast<i64>(blockIdx.x / kCluster) * kRowsPerBlock + threadIdx.x / kThreadsPerRow, 0);
  write_row(params, row, row, talk);
  //% end
  //% if SCALES == 'row'
  talk.sums.finish();
  //% end
}
