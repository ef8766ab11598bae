// f16, bf16 and the 8-bit floating-point types as bits: to f32 exactly, from f32 rounded to nearest even.
#pragma once

#include <bit>
#include <cstdint>
#if defined(__F16C__)
#include <immintrin.h>
#endif

namespace emulator {

inline float from_bf16(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}
inline std::uint16_t to_bf16(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  if ((bits & 0x7fffffff) > 0x7f800000) return 0x7fff;
  return static_cast<std::uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

// Any small format of `kExponent` and `kMantissa` bits that has the usual subnormals.
template <int kExponent, int kMantissa>
inline float widen(std::uint32_t bits) {
  constexpr int kBias = (1 << (kExponent - 1)) - 1;
  const std::uint32_t mantissa = bits & ((1u << kMantissa) - 1);
  const int exponent = static_cast<int>(bits >> kMantissa & ((1u << kExponent) - 1));
  const float sign = (bits >> (kExponent + kMantissa) & 1) != 0 ? -1.0f : 1.0f;
  const auto power = [](int e) { return std::bit_cast<float>(static_cast<std::uint32_t>(e + 127) << 23); };
  if (exponent == 0) return sign * static_cast<float>(mantissa) * power(1 - kBias - kMantissa);
  return sign * static_cast<float>(mantissa + (1u << kMantissa)) * power(exponent - kBias - kMantissa);
}
/// Rounds the absolute value of a finite x; what is too large for the exponent overflows into its bits.
template <int kExponent, int kMantissa>
inline std::uint32_t narrow(float x) {
  constexpr int kBias = (1 << (kExponent - 1)) - 1;
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(x) & 0x7fffffff;
  const int exponent = static_cast<int>(bits >> 23) - 127 + kBias;
  std::uint32_t mantissa = (bits & 0x7fffff) | (bits >= 0x800000 ? 0x800000 : 0);
  int shift = 23 - kMantissa;
  if (exponent < 1) shift += 1 - exponent;
  if (shift > 25) return 0;
  const std::uint32_t half = 1u << (shift - 1), odd = mantissa >> shift & 1;
  const std::uint32_t rounded = (mantissa + half - 1 + odd) >> shift;
  if (exponent < 1) return rounded;
  return (static_cast<std::uint32_t>(exponent - 1) << kMantissa) + rounded;
}

inline float from_f16(std::uint16_t bits) {
#if defined(__F16C__)
  return _cvtsh_ss(bits);
#else
  if ((bits & 0x7c00) == 0x7c00)
    return std::bit_cast<float>((bits & 0x8000u) << 16 | 0x7f800000u | (bits & 0x3ffu) << 13);
  return widen<5, 10>(bits);
#endif
}
inline std::uint16_t to_f16(float x) {
#if defined(__F16C__)
  return _cvtss_sh(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#else
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(x), magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return 0x7fff;
  const std::uint32_t sign = bits >> 16 & 0x8000;
  const std::uint32_t rounded = magnitude >= 0x47800000 ? 0x7c00 : narrow<5, 10>(x);
  return static_cast<std::uint16_t>(sign | (rounded > 0x7c00 ? 0x7c00 : rounded));
#endif
}

inline float from_e4m3(std::uint8_t bits) {
  if ((bits & 0x7f) == 0x7f) return std::bit_cast<float>(0x7fffffffu);
  return widen<4, 3>(bits);
}
inline float from_e5m2(std::uint8_t bits) {
  return from_f16(static_cast<std::uint16_t>(bits << 8));
}
/// With .satfinite: what is too large becomes the largest finite value.
inline std::uint8_t to_e4m3(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  if (x != x) return 0x7f;
  const std::uint32_t sign = bits >> 24 & 0x80;
  const std::uint32_t rounded = (bits & 0x7fffffff) >= 0x44000000 ? 0x7e : narrow<4, 3>(x);
  return static_cast<std::uint8_t>(sign | (rounded > 0x7e ? 0x7e : rounded));
}
inline std::uint8_t to_e5m2(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  if (x != x) return 0x7f;
  const std::uint32_t sign = bits >> 24 & 0x80;
  const std::uint32_t rounded = (bits & 0x7fffffff) >= 0x47800000 ? 0x7b : narrow<5, 2>(x);
  return static_cast<std::uint8_t>(sign | (rounded > 0x7b ? 0x7b : rounded));
}
/// A f32 as the tensor cores see it: ten bits of mantissa.
inline float to_tf32(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  if ((bits & 0x7f800000) == 0x7f800000) return x;
  return std::bit_cast<float>((bits + 0x1000) & 0xffffe000u);
}

}  // namespace emulator
