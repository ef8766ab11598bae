// sum[t] = the elements of thread t's share of C after `rounds` times C += A B, over kChains tiles C of 16 x
// 8 per warp
//
//   sum  [blocks * threads]  f32; keeps the products from being optimised away
//
// Nothing but mma.sync on registers: the most that a kernel built on it reaches on this GPU. Operands are
// random, because the power that a product draws, and with it the clock, depends on the data.

//% include "device/mma.cuh"

// Problem: what is computed. Set by the caller.
using scalar = device::${SCALAR};

// Schedule: how it is computed. Affects speed, never the result.
constexpr int kWarps = ${WARPS};
constexpr int kChains = ${CHAINS};  // independent products in flight per warp

using namespace device;

struct Params {
  float* sum;
  int rounds;
};

// Two values of magnitude 0.5 to 1.5 with random signs.
__device__ u32 random_pair(u32& state) {
  state = state * 1664525u + 1013904223u;
  const u32 bits = state ^ state >> 15;
  const float low = 0.5f + static_cast<float>(bits & 0xff) / 256.0f;
  const float high = 0.5f + static_cast<float>(bits >> 8 & 0xff) / 256.0f;
  return pack<scalar>(bits & 0x10000 ? -low : low, bits & 0x20000 ? -high : high);
}

extern "C" __global__ void __launch_bounds__(32 * kWarps) mma_peak(const __grid_constant__ Params params) {
  const u32 thread = blockIdx.x * (32 * kWarps) + threadIdx.x;
  u32 state = thread * 2654435761u + 12345u;
  u32 a[4], b[kChains][2];
  float c[kChains][4] = {};
#pragma unroll
  for (int i = 0; i < 4; ++i) a[i] = random_pair(state);
#pragma unroll
  for (int chain = 0; chain < kChains; ++chain) {
    b[chain][0] = random_pair(state);
    b[chain][1] = random_pair(state);
  }

#pragma unroll 4
  for (int round = 0; round < params.rounds; ++round) {
#pragma unroll
    for (int chain = 0; chain < kChains; ++chain) mma_m16n8k16<scalar>(c[chain], a, b[chain][0], b[chain][1]);
  }

  float sum = 0.0f;
#pragma unroll
  for (int chain = 0; chain < kChains; ++chain) sum += c[chain][0] + c[chain][1] + c[chain][2] + c[chain][3];
  params.sum[thread] = sum;
}
