// z[r, :] = x[r, :] + residual[r, :]
// y[r, :] = (z[r, :] - m[r]) / sqrt(mean((z[r, :] - m[r])^2) + eps) * (weight + kZeroCentred) + bias
// with m[r] = mean(z[r, :]) if kCentred (LayerNorm), else 0 (RMSNorm)
//
//   x, y                    [rows..., kHidden]  scalar, any row strides, last one 1; y may be x
//   residual, residual_out  [rows..., kHidden]  residual_scalar; residual_out gets z, and may be residual
//   weight, bias            [kHidden]           weight_scalar
//
// Sums are f32. Ba et al. 2016, arXiv:1607.06450; Zhang & Sennrich 2019, arXiv:1910.07467.
//
// kThreadsPerRow neighbouring threads share a row, or as many in each of the kCluster blocks of a cluster. A
// row of up to kMaxRegisterValues per thread stays in registers between the passes; a longer one is read
// again, then from L2.

//% include "device/types.cuh"
//% include "device/vector.cuh"
//% include "device/reduce.cuh"
//% if CLUSTER > 1
//% include "device/cluster.cuh"
//% end

// Problem: what is computed. Set by the caller.
using scalar = device::${SCALAR};
using weight_scalar = device::${WEIGHT};      // none: y is not scaled
using residual_scalar = device::${RESIDUAL};  // none: z is x
constexpr int kHidden = ${HIDDEN};
constexpr bool kCentred = ${CENTRED};
constexpr bool kHasBias = ${HAS_BIAS};
constexpr bool kZeroCentred = ${ZERO_CENTRED};
constexpr bool kHasResidualOut = ${HAS_RESIDUAL_OUT};
constexpr int kAlignment = ${ALIGNMENT};  // elements, of which every address and row stride is a multiple
constexpr int kRowDims = ${ROW_DIMS};     // dimensions in front of the last one

// Schedule: how it is computed. Affects speed, never the result beyond rounding.
constexpr int kThreadsPerRow = ${THREADS_PER_ROW};
constexpr int kRowsPerBlock = ${ROWS_PER_BLOCK};
constexpr int kCluster = ${CLUSTER};

static_assert((kThreadsPerRow & (kThreadsPerRow - 1)) == 0, "rows are reduced by halving");
static_assert(kCluster == 1 || kRowsPerBlock == 1, "a cluster works on one row");

using namespace device;

constexpr bool kHasWeight = is_given<weight_scalar>, kHasResidual = is_given<residual_scalar>;
static_assert(kHasWeight || !(kHasBias || kZeroCentred), "bias and weight have one type");
static_assert(kHasResidual || !kHasResidualOut, "without a residual z is x");

constexpr int kThreads = kThreadsPerRow * kRowsPerBlock;
__host__ __device__ constexpr int larger(int a, int b) {
  return a > b ? a : b;
}
constexpr int kWidestBytes = larger(sizeof(scalar), larger(kHasWeight ? sizeof(weight_scalar) : 1,
                                                               kHasResidual ? sizeof(residual_scalar) : 1));

//% include "rows/vectors.cuh"
//% include "rows/sums.cuh"

constexpr int kMaxRegisterValues = kThreads > 384 ? 24576 / kThreads : 64;
constexpr bool kInRegisters = kVecsPerThread * kVec <= kMaxRegisterValues;

struct Params {
  scalar* y;
  const scalar* x;
  const residual_scalar* residual;
  residual_scalar* residual_out;
  const weight_scalar *weight, *bias;
  i64 rows;
  i64 extent[5];
  RowStrides strides[4];  // y, x, residual, residual_out
  float eps;
};

// One row of every tensor.
struct Row {
  scalar* y;
  const scalar* x;
  const residual_scalar* residual;
  residual_scalar* residual_out;
};

// z; writes residual_out. The template parameter stands for residual_scalar.
template <class Residual>
__device__ __forceinline__ Values first_load(const Row& row, const Residual* residual, int column) {
  Values z = kInRegisters ? stream_values(row.x + column) : load_values(row.x + column);
  if constexpr (is_given<Residual>) {
    const Values r = kInRegisters ? stream_values(residual + column) : load_values(residual + column);
#pragma unroll
    for (int i = 0; i < kVec; ++i) z.at[i] += r.at[i];
    if constexpr (kHasResidualOut) store_values(row.residual_out + column, z);
  }
  return z;
}

// z again, after first_load(): residual_out may have replaced residual.
template <class Residual>
__device__ __forceinline__ Values load_again(const Row& row, const Residual* residual_out, int column) {
  if constexpr (is_given<Residual> && kHasResidualOut) {
    return load_values(residual_out + column);
  } else {
    return first_load(row, row.residual, column);
  }
}

template <class Weight>
__device__ __forceinline__ void normalise(Values& z, float mean, float factor, const Weight* weight,
                                          const Weight* bias, int column) {
#pragma unroll
  for (int i = 0; i < kVec; ++i) z.at[i] = (z.at[i] - mean) * factor;
  if constexpr (is_given<Weight>) {
    const Values w = load_values(weight + column);
    Values b{};
    if constexpr (kHasBias) b = load_values(bias + column);
#pragma unroll
    for (int i = 0; i < kVec; ++i) z.at[i] = fmaf(z.at[i], kZeroCentred ? w.at[i] + 1.0f : w.at[i], b.at[i]);
  }
}

//% if CLUSTER > 1
extern "C" __global__ void __launch_bounds__(kThreads) __cluster_dims__(kCluster, 1, 1)
//% else
extern "C" __global__ void __launch_bounds__(kThreads)
//% end
    norm_forward(const __grid_constant__ Params params) {
  const i64 number = static_cast<i64>(blockIdx.x / kCluster) * kRowsPerBlock + threadIdx.x / kThreadsPerRow;
  const bool active = kRowsPerBlock == 1 || number < params.rows;
  const int lane = row_lane();
  i64 offset[4];
  row_offsets(offset, params.extent, params.strides, number);
  const Row row{params.y + offset[0], params.x + offset[1], params.residual + offset[2],
                params.residual_out + offset[3]};
  const auto has = [&](int i) { return active && has_vector(lane, i); };
  RowSums row_sum;

  Values kept[kInRegisters ? kVecsPerThread : 1];
  float sum = 0.0f;
  const auto again = [&](int i) {
    return kInRegisters ? kept[kInRegisters ? i : 0] : load_again(row, row.residual_out, column_of(lane, i));
  };
#pragma unroll(kInRegisters ? kVecsPerThread : 4)
  for (int i = 0; i < kVecsPerThread; ++i) {
    if (!has(i)) continue;
    const Values z = first_load(row, row.residual, column_of(lane, i));
    if constexpr (kInRegisters) kept[i] = z;
#pragma unroll
    for (int e = 0; e < kVec; ++e) sum = kCentred ? sum + z.at[e] : fmaf(z.at[e], z.at[e], sum);
  }
  sum = row_sum(sum);
  float mean = 0.0f;
  if constexpr (kCentred) {
    mean = sum * (1.0f / kHidden);
    sum = 0.0f;
#pragma unroll(kInRegisters ? kVecsPerThread : 4)
    for (int i = 0; i < kVecsPerThread; ++i) {
      if (!has(i)) continue;
      const Values z = again(i);
#pragma unroll
      for (int e = 0; e < kVec; ++e) sum = fmaf(z.at[e] - mean, z.at[e] - mean, sum);
    }
    sum = row_sum(sum);
  }
  const float factor = rsqrtf(sum * (1.0f / kHidden) + params.eps);
#pragma unroll(kInRegisters ? kVecsPerThread : 4)
  for (int i = 0; i < kVecsPerThread; ++i) {
    if (!has(i)) continue;
    Values z = again(i);
    normalise(z, mean, factor, params.weight, params.bias, column_of(lane, i));
    store_values(row.y + column_of(lane, i), z);
  }
  row_sum.finish();
}
