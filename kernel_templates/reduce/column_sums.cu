// sums[o][c] = sum_b rows[o][b, c] for one or two tensors o at once: what blocks that walked over rows left of the
// gradients of weights and biases.
//
//   rows[o]  [blocks, columns]  f32
//   sums[o]  [columns]          scalar
//
// Sums are f32, in an order that depends on the number of blocks alone. A warp has 32 columns of one output and one
// slice of the rows; the warps of a block have as many slices as the launch says, of one tile of columns after the other.

//% include "device/types.cuh"
//% include "device/dependent.cuh"

// Problem: what is computed. Set by the caller.
using scalar = device::${SCALAR};

// Schedule: how it is computed. Affects speed, never the result beyond rounding.
constexpr int kWarps = ${WARPS};

using namespace device;

struct Params {
  scalar* sums[2];
  const float* rows[2];
  int blocks, columns;
  int slices;  // of the rows: a power of two, kWarps at most
};

extern "C" __global__ void __launch_bounds__(32 * kWarps)
    column_sums(const __grid_constant__ Params params) {
  __shared__ float parts[kWarps][32];
  const int slices = params.slices, columns_per_block = kWarps / slices * 32;
  const int blocks_per_output = ceil_div(params.columns, columns_per_block);
  const int output = blockIdx.x / blocks_per_output, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int column = blockIdx.x % blocks_per_output * columns_per_block + warp / slices * 32 + lane;
  const float* const rows = params.rows[output];
  float sum = 0.0f;
  wait_for_kernel_ahead();
  if (column < params.columns) {
#pragma unroll 8
    for (int b = warp % slices; b < params.blocks; b += slices)
      sum += rows[static_cast<i64>(b) * params.columns + column];
  }
  parts[warp][lane] = sum;
  __syncthreads();
  if (warp % slices != 0 || column >= params.columns) return;
  for (int s = 1; s < slices; ++s) sum += parts[warp + s][lane];
  params.sums[output][column] = from_f32<scalar>(sum);
}
