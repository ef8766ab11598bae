// Vec<T, N>: N values that move through memory in one access.
#pragma once

//% include "device/types.cuh"

namespace device {

template <class T, int N>
struct alignas(sizeof(T) * N) Vec {
  T at[N];
};

template <int kBytes>
struct Raw;
template <>
struct Raw<16> {
  using type = uint4;
};
template <>
struct Raw<8> {
  using type = uint2;
};
template <>
struct Raw<4> {
  using type = u32;
};
template <>
struct Raw<2> {
  using type = u16;
};
template <>
struct Raw<1> {
  using type = u8;
};

// dst = *src, one access of sizeof(T) * N bytes; src is aligned to that.
template <class T, int N>
__device__ __forceinline__ Vec<T, N> load(const T* src) {
  using R = typename Raw<sizeof(T) * N>::type;
  R raw = *reinterpret_cast<const R*>(src);
  return reinterpret_cast<Vec<T, N>&>(raw);
}

template <class T, int N>
__device__ __forceinline__ void store(T* dst, const Vec<T, N>& value) {
  using R = typename Raw<sizeof(T) * N>::type;
  *reinterpret_cast<R*>(dst) = reinterpret_cast<const R&>(value);
}

// vector.at[i]. Of a word that holds two bf16 the upper one is the word without its lower half: one operation, where
// taking it out and shifting it back are two.
template <class T, int N>
__device__ __forceinline__ float element(const Vec<T, N>& vector, int i) {
  return to_f32(vector.at[i]);
}
template <int N>
__device__ __forceinline__ float element(const Vec<bf16, N>& vector, int i) {
  if constexpr (N % 2 == 0) {
    if (i % 2 == 1) return __uint_as_float(reinterpret_cast<const u32(&)[N / 2]>(vector)[i / 2] & 0xffff0000u);
  }
  return to_f32(vector.at[i]);
}

}  // namespace device
