// dst[i] = src[i]: what a kernel that only moves memory reaches, the ceiling of every memory-bound operator.
//
//   src, dst  [vectors] of 16 bytes, 16-byte aligned, not overlapping
//
// Each thread moves kVectors vectors, all loads before the first store.

// Problem: what is computed. Set by the caller.
constexpr int kVectors = ${VECTORS};

// Schedule: how it is computed. Affects speed, never the result.
constexpr int kThreads = ${THREADS};

struct Params {
  uint4* dst;
  const uint4* src;
  long long vectors;
};

extern "C" __global__ void __launch_bounds__(kThreads) copy(const __grid_constant__ Params params) {
  const long long first = static_cast<long long>(blockIdx.x) * kThreads * kVectors + threadIdx.x;
  uint4 values[kVectors];
#pragma unroll
  for (int i = 0; i < kVectors; ++i) {
    if (first + i * kThreads < params.vectors) values[i] = params.src[first + i * kThreads];
  }
#pragma unroll
  for (int i = 0; i < kVectors; ++i) {
    if (first + i * kThreads < params.vectors) params.dst[first + i * kThreads] = values[i];
  }
}
