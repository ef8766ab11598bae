// Scalar types and conversions. All arithmetic is f32; f16 and bf16 exist in memory and as matrix operands
// only.
#pragma once

namespace device {

using u8 = unsigned char;
using u16 = unsigned short;
using u32 = unsigned int;
using u64 = unsigned long long;
using i64 = long long;

using f32 = float;
struct f16 {
  u16 bits;
};
struct bf16 {
  u16 bits;
};
struct none {};  // of what is not there

template <class T>
inline constexpr bool is_given = true;
template <>
inline constexpr bool is_given<none> = false;

__device__ __forceinline__ float to_f32(f32 x) {
  return x;
}
__device__ __forceinline__ float to_f32(f16 x) {
  float y;
  asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x.bits));
  return y;
}
__device__ __forceinline__ float to_f32(bf16 x) {
  return __uint_as_float(static_cast<u32>(x.bits) << 16);
}

// from_f32<T>(x): x rounded to nearest even.
template <class T>
__device__ T from_f32(float x);
template <>
__device__ __forceinline__ f32 from_f32<f32>(float x) {
  return x;
}
template <>
__device__ __forceinline__ f16 from_f32<f16>(float x) {
  f16 y;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
  return y;
}
template <>
__device__ __forceinline__ bf16 from_f32<bf16>(float x) {
  bf16 y;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
  return y;
}

// pack<T>(low, high): two rounded 16-bit values in one register, as matrix fragments hold them.
template <class T>
__device__ u32 pack(float low, float high);
template <>
__device__ __forceinline__ u32 pack<f16>(float low, float high) {
  u32 y;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(high), "f"(low));
  return y;
}
template <>
__device__ __forceinline__ u32 pack<bf16>(float low, float high) {
  u32 y;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(high), "f"(low));
  return y;
}

inline constexpr float kLog2E = 1.4426950408889634f;
inline constexpr float kLn2 = 0.6931471805599453f;

// 2^x; flushes subnormals to zero; 2^-inf is 0. Relative error 2^-22.
__device__ __forceinline__ float exp2_approx(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// 2^x for x < 127 by multiplications and additions, where exp2_approx's own unit is what a kernel waits for.
// Relative error 2^-13; 0 below 2^-126.
__device__ __forceinline__ float exp2_polynomial(float x) {
  constexpr float kRounder = 12582912.0f;  // 1.5 * 2^23: a sum with it has the integer in its low bits
  const float shifted = x + kRounder;
  const float f = x - (shifted - kRounder);  // -0.5 to 0.5
  const float y = fmaf(fmaf(fmaf(0.055171669f, f, 0.24261113f), f, 0.69326097f), f, 0.99992806f);
  const float power = __uint_as_float((__float_as_uint(shifted) << 23) + 0x3f800000u);
  return x < -126.0f ? 0.0f : y * power;
}

// log2(x); absolute error 2^-22 near 1, relative 2^-22 elsewhere.
__device__ __forceinline__ float log2_approx(float x) {
  float y;
  asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// tanh(x); relative error 2^-11.
__device__ __forceinline__ float tanh_approx(float x) {
  float y;
  asm("tanh.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

__device__ __forceinline__ float negative_infinity() {
  return __int_as_float(static_cast<int>(0xff800000u));
}

// x. What is computed from it is computed anew in every round of a loop: it takes no registers in between.
__device__ __forceinline__ int anew(int x) {
  asm volatile("" : "+r"(x));
  return x;
}

__host__ __device__ constexpr int ceil_div(int a, int b) {
  return (a + b - 1) / b;
}
__host__ __device__ constexpr int round_up(int a, int b) {
  return ceil_div(a, b) * b;
}

// The largest power of two that is at most n; n >= 1.
__host__ __device__ constexpr int power_of_two_below(int n) {
  return n < 2 ? 1 : 2 * power_of_two_below(n / 2);
}

}  // namespace device
