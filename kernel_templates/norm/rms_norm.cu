// y[r, :] = x[r, :] / sqrt(mean(x[r, :]^2) + eps) * weight
//
//   x, y    [rows..., kHidden]  scalar, any row strides, last one 1; y may be x
//   weight  [kHidden]           scalar; not read unless kHasWeight
//
// Sums are f32. Zhang & Sennrich 2019, arXiv:1910.07467.
//
// kThreadsPerRow neighbouring threads share a row, which stays in their registers. Longer rows are norm_forward's.

//% include "device/types.cuh"
//% include "device/vector.cuh"
//% include "device/reduce.cuh"

// Problem: what is computed. Set by the caller.
using scalar = device::${SCALAR};
constexpr int kHidden = ${HIDDEN};
constexpr bool kHasWeight = ${HAS_WEIGHT};
constexpr int kAlignment = ${ALIGNMENT};  // bytes that divide every address and row stride
constexpr int kRowDims = ${ROW_DIMS};     // dimensions in front of the last one

// Schedule: how it is computed. Affects speed, never the result beyond rounding.
constexpr int kThreadsPerRow = ${THREADS_PER_ROW};
constexpr int kRowsPerBlock = ${ROWS_PER_BLOCK};

static_assert((kThreadsPerRow & (kThreadsPerRow - 1)) == 0, "rows are reduced by halving");
static_assert(kAlignment % sizeof(scalar) == 0, "elements are aligned to their own size");

using namespace device;

constexpr int kThreads = kThreadsPerRow * kRowsPerBlock;
constexpr int kWarpsPerRow = ceil_div(kThreadsPerRow, 32);

__host__ __device__ constexpr int widest_vector(int bytes) {
  return kHidden % (bytes / int{sizeof(scalar)}) == 0 ? bytes / int{sizeof(scalar)}
                                                      : widest_vector(bytes / 2);
}
constexpr int kVec = widest_vector(kAlignment);
constexpr int kVecs = kHidden / kVec;  // vectors in a row
constexpr int kVecsPerThread = ceil_div(kVecs, kThreadsPerRow);

struct Params {
  scalar* y;
  const scalar *x, *weight;
  i64 rows;
  i64 extent[5], x_stride[5], y_stride[5];  // of the first kRowDims, outermost first
  float eps;
};

__device__ __forceinline__ float sum_of_squares(const Vec<scalar, kVec>& v) {
  float sum = 0.0f;
#pragma unroll
  for (int i = 0; i < kVec; ++i) sum = fmaf(element(v, i), element(v, i), sum);
  return sum;
}

__device__ __forceinline__ Vec<scalar, kVec> scaled(const Vec<scalar, kVec>& x, float factor,
                                                    const scalar* weight) {
  Vec<scalar, kVec> y, w;
  if constexpr (kHasWeight) w = load<scalar, kVec>(weight);
#pragma unroll
  for (int i = 0; i < kVec; ++i)
    y.at[i] = from_f32<scalar>(element(x, i) * factor * (kHasWeight ? element(w, i) : 1.0f));
  return y;
}

// The sum of `x` over the threads of a row, in each of them and in a fixed order. By all threads of the
// block.
__device__ __forceinline__ float row_sum(float x) {
  x = lane_sum<(kThreadsPerRow < 32 ? kThreadsPerRow : 32)>(x);
  if constexpr (kWarpsPerRow > 1) {
    __shared__ float partial[kThreads / 32];
    const int warp = threadIdx.x / 32;
    if (threadIdx.x % 32 == 0) partial[warp] = x;
    __syncthreads();
    x = 0.0f;
#pragma unroll
    for (int i = 0; i < kWarpsPerRow; ++i) x += partial[warp / kWarpsPerRow * kWarpsPerRow + i];
  }
  return x;
}

extern "C" __global__ void __launch_bounds__(kThreads)
    rms_norm(const __grid_constant__ Params params) {
  const i64 row = static_cast<i64>(blockIdx.x) * kRowsPerBlock + threadIdx.x / kThreadsPerRow;
  const bool active = kRowsPerBlock == 1 || row < params.rows;
  const int lane = threadIdx.x % kThreadsPerRow;

  i64 x_offset = 0, y_offset = 0, rest = row;
#pragma unroll
  for (int d = kRowDims - 1; d >= 0; --d) {
    const i64 index = d == 0 ? rest : rest % params.extent[d];
    if (d != 0) rest /= params.extent[d];
    x_offset += index * params.x_stride[d];
    y_offset += index * params.y_stride[d];
  }
  const scalar* const x = params.x + x_offset;
  scalar* const y = params.y + y_offset;

  // Whether this thread has an i-th vector; known at compile time but for a ragged last one.
  const auto has = [&](int i) { return active && ((i + 1) * kThreadsPerRow <= kVecs || i * kThreadsPerRow + lane < kVecs); };
  const auto column = [&](int i) { return (i * kThreadsPerRow + lane) * kVec; };

  Vec<scalar, kVec> values[kVecsPerThread];
#pragma unroll
  for (int i = 0; i < kVecsPerThread; ++i) {
    if (has(i)) values[i] = load<scalar, kVec>(x + column(i));
  }
  float sum = 0.0f;
#pragma unroll
  for (int i = 0; i < kVecsPerThread; ++i) {
    if (has(i)) sum += sum_of_squares(values[i]);
  }
  const float factor = rsqrtf(row_sum(sum) * (1.0f / kHidden) + params.eps);
#pragma unroll
  for (int i = 0; i < kVecsPerThread; ++i) {
    if (has(i)) store(y + column(i), scaled(values[i], factor, params.weight + column(i)));
  }
}
