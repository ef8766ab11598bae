// The vectors of a row. Included by kernels whose threads share rows, below their constants: uses
// scalar, kWidestBytes, kHidden, kAlignment, kThreadsPerRow, kRowsPerBlock, kCluster and kRowDims.
#pragma once

// Elements of all tensors are moved kVec at a time: as many as the widest of their types fills kAlignment
// bytes with.
__host__ __device__ constexpr int widest_vector(int elements) {
  return kHidden % elements == 0 ? elements : widest_vector(elements / 2);
}
constexpr int kVec = widest_vector(kAlignment < 16 / kWidestBytes ? kAlignment : 16 / kWidestBytes);
constexpr int kVecs = kHidden / kVec;              // vectors in a row
constexpr int kLanes = kThreadsPerRow * kCluster;  // threads that share a row
constexpr int kVecsPerThread = ceil_div(kVecs, kLanes);

//% include "rows/offsets.cuh"

// This thread's place among those that share a row.
__device__ __forceinline__ int row_lane() {
  return blockIdx.x % kCluster * kThreadsPerRow + threadIdx.x % kThreadsPerRow;
}
// Whether it has an i-th vector, known at compile time but for a ragged last one; and the first column of that.
__device__ __forceinline__ bool has_vector(int lane, int i) {
  return (i + 1) * kLanes <= kVecs || i * kLanes + lane < kVecs;
}
__device__ __forceinline__ int column_of(int lane, int i) {
  return (i * kLanes + lane) * kVec;
}

// kVec values as f32.
struct Values {
  float at[kVec];
};
template <class T>
__device__ __forceinline__ Values widen(const Vec<T, kVec>& vector) {
  Values values;
#pragma unroll
  for (int i = 0; i < kVec; ++i) values.at[i] = element(vector, i);
  return values;
}
template <class T>
__device__ __forceinline__ Values load_values(const T* src) {
  return widen(load<T, kVec>(src));
}
template <class T>
__device__ __forceinline__ void store_values(T* dst, const Values& values) {
  Vec<T, kVec> vector;
#pragma unroll
  for (int i = 0; i < kVec; ++i) vector.at[i] = from_f32<T>(values.at[i]);
  store(dst, vector);
}

__device__ __forceinline__ void scale(Values& x, float factor) {
#pragma unroll
  for (int i = 0; i < kVec; ++i) x.at[i] *= factor;
}
__device__ __forceinline__ void multiply(Values& x, const Values& y) {
#pragma unroll
  for (int i = 0; i < kVec; ++i) x.at[i] *= y.at[i];
}
__device__ __forceinline__ void add(Values& x, const Values& y) {
#pragma unroll
  for (int i = 0; i < kVec; ++i) x.at[i] += y.at[i];
}
