// sums[o][c] = sum_b rows[o][b, c] for one or two tensors o at once: what blocks that walked over rows left of the
// gradients of weights and biases.
//
//   rows[o]  [blocks, columns]  f32
//   sums[o]  [columns]          scalar
//
// Sums are f32, in an order that depends on the number of blocks alone. One block has 32 columns of one
// output.

//% include "device/types.cuh"

// Problem: what is computed. Set by the caller.
using scalar = device::${SCALAR};

// Schedule: how it is computed. Affects speed, never the result beyond rounding.
constexpr int kSlices = ${SLICES};  // of the rows, summed side by side

using namespace device;

constexpr int kThreads = 32 * kSlices;

struct Params {
  scalar* sums[2];
  const float* rows[2];
  int blocks, columns;
};

extern "C" __global__ void __launch_bounds__(kThreads)
    column_sums(const __grid_constant__ Params params) {
  __shared__ float slices[kSlices][32];
  const int tiles = ceil_div(params.columns, 32);
  const int output = blockIdx.x / tiles, lane = threadIdx.x % 32, slice = threadIdx.x / 32;
  const int column = blockIdx.x % tiles * 32 + lane;
  const float* const rows = params.rows[output];
  float sum = 0.0f;
  if (column < params.columns) {
#pragma unroll 8
    for (int b = slice; b < params.blocks; b += kSlices)
      sum += rows[static_cast<i64>(b) * params.columns + column];
  }
  slices[slice][lane] = sum;
  __syncthreads();
  if (slice != 0 || column >= params.columns) return;
  sum = 0.0f;
#pragma unroll
  for (int s = 0; s < kSlices; ++s) sum += slices[s][lane];
  params.sums[output][column] = from_f32<scalar>(sum);
}
