// What a training step needs beside Sprue's operators: matrix products, the embedding and its gradient, AdamW. Every sum
// is f32 and in an order that never changes; none of it is meant to be fast. parameters.h stands in front.
using namespace sprue::training;

__device__ float widened(bf16_bits bits) {
  return __uint_as_float(static_cast<unsigned>(bits) << 16);
}
__device__ bf16_bits rounded(float x) {
  bf16_bits bits;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(x));
  return bits;
}

// c[m, n] = sum over k of a[m, k] * b[k, n]. c is contiguous, a and b have any strides. A block of 256 threads makes
// 16 x 16 elements.
extern "C" __global__ void matmul(const __grid_constant__ MatmulParams p) {
  constexpr int kTile = 16;
  __shared__ float a[kTile][kTile + 1], b[kTile][kTile + 1];
  const int row = threadIdx.x / kTile, column = threadIdx.x % kTile;
  const int m = blockIdx.y * kTile + row, n = blockIdx.x * kTile + column;
  float sum = 0;
  for (int k0 = 0; k0 < p.k; k0 += kTile) {
    const bool a_inside = m < p.m && k0 + column < p.k, b_inside = k0 + row < p.k && n < p.n;
    a[row][column] = a_inside ? widened(p.a[m * p.a_row + (k0 + column) * p.a_column]) : 0.0f;
    b[row][column] = b_inside ? widened(p.b[(k0 + row) * p.b_row + n * p.b_column]) : 0.0f;
    __syncthreads();
    for (int k = 0; k < kTile; ++k) sum = fmaf(a[row][k], b[k][column], sum);
    __syncthreads();
  }
  if (m < p.m && n < p.n) p.c[static_cast<long long>(m) * p.n + n] = rounded(sum);
}

// x[t, :] = table[tokens[t], :]. A block per token.
extern "C" __global__ void embed(const __grid_constant__ EmbedParams p) {
  const bf16_bits* row = p.table + static_cast<long long>(p.tokens[blockIdx.x]) * p.hidden;
  for (int c = threadIdx.x; c < p.hidden; c += blockDim.x) {
    p.x[static_cast<long long>(blockIdx.x) * p.hidden + c] = row[c];
  }
}

// dtable[r, :] = sum over t with tokens[t] = r of dx[t, :]. A block per row of the table.
extern "C" __global__ void embed_backward(const __grid_constant__ EmbedBackwardParams p) {
  const int row = blockIdx.x;
  for (int c = threadIdx.x; c < p.hidden; c += blockDim.x) {
    float sum = 0;
    for (int t = 0; t < p.count; ++t) {
      if (p.tokens[t] == row) sum += widened(p.dx[static_cast<long long>(t) * p.hidden + c]);
    }
    p.dtable[static_cast<long long>(row) * p.hidden + c] = rounded(sum);
  }
}

// Loshchilov & Hutter 2019, arXiv:1711.05101. A thread per element.
extern "C" __global__ void adamw(const __grid_constant__ AdamWParams p) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= p.count) return;
  const float g = p.gradient_f32 ? p.gradient_f32[i] : widened(p.gradient_bf16[i]);
  const float mean = p.beta1 * p.mean[i] + (1 - p.beta1) * g;
  const float square = p.beta2 * p.square[i] + (1 - p.beta2) * g * g;
  const float step = mean / p.mean_correction / (sqrtf(square / p.square_correction) + p.eps);
  const float master = p.master[i] - p.rate * (step + p.decay * p.master[i]);
  p.mean[i] = mean;
  p.square[i] = square;
  p.master[i] = master;
  if (p.copy) p.copy[i] = rounded(master);
}
