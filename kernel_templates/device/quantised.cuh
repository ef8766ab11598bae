// Eight-bit types that results are rounded to.
#pragma once

//% include "device/types.cuh"

namespace device {

// 4 bits of exponent, 3 of mantissa, no infinities (Micikevicius et al. 2022, arXiv:2209.05433).
struct e4m3 {
  u8 bits;
};
struct i8 {
  signed char value;
};

template <class T>
inline constexpr float kLargest = 0.0f;
template <>
inline constexpr float kLargest<e4m3> = 448.0f;
template <>
inline constexpr float kLargest<i8> = 127.0f;

// x rounded to nearest even; beyond 448, and for infinities, 448.
template <>
__device__ __forceinline__ e4m3 from_f32<e4m3>(float x) {
#if __CUDA_ARCH__ >= 890
  u16 pair;
  asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(pair) : "f"(0.0f), "f"(x));
  return {static_cast<u8>(pair)};
#else
  const u32 bits = __float_as_uint(x), size = bits & 0x7fffffff;
  u32 rounded;
  if (size > 0x7f800000) {
    rounded = 0x7f;  // not a number
  } else if (size >= 0x43e00000) {
    rounded = 0x7e;  // 448 and more
  } else if (size >= 0x3c800000) {
    rounded = (size + 0x7ffff + (size >> 20 & 1) - 0x3c000000) >> 20;  // exponents are biased by 7, not 127
  } else {
    // Multiples of 2^-9: the last bits of a sum with 2^14.
    rounded = __float_as_uint(__uint_as_float(size) + 16384.0f) - __float_as_uint(16384.0f);
  }
  return {static_cast<u8>(bits >> 24 & 0x80 | rounded)};
#endif
}

// x rounded to nearest even; beyond -128 and 127 those; 0 if it is not a number.
template <>
__device__ __forceinline__ i8 from_f32<i8>(float x) {
  return {static_cast<signed char>(max(-128, min(127, __float2int_rn(x))))};
}

}  // namespace device
