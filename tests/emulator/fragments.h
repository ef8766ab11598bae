// Registers of 16-bit elements as floats, 32 lanes at once.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "emulator/half.h"
#include "emulator/types.h"

namespace emulator {

/// Fused where the machine that builds has that.
inline float multiply_add(float a, float b, float c) {
#if defined(__FMA__) || defined(__aarch64__)
  return std::fma(a, b, c);
#else
  return a * b + c;
#endif
}

/// Both halves of the 32 words of a register.
inline void open_halves(Type type, const std::uint32_t* words, float* low, float* high) {
  if (type == Type::bf16) {
    for (int i = 0; i < 32; ++i) {
      low[i] = std::bit_cast<float>(words[i] << 16);
      high[i] = std::bit_cast<float>(words[i] & 0xffff0000u);
    }
    return;
  }
#if defined(__AVX2__) && defined(__F16C__)
  alignas(64) std::uint16_t first[32], second[32];
  for (int i = 0; i < 32; ++i) {
    first[i] = static_cast<std::uint16_t>(words[i]);
    second[i] = static_cast<std::uint16_t>(words[i] >> 16);
  }
  for (int i = 0; i < 32; i += 8) {
    _mm256_storeu_ps(low + i, _mm256_cvtph_ps(_mm_load_si128(reinterpret_cast<const __m128i*>(first + i))));
    _mm256_storeu_ps(high + i, _mm256_cvtph_ps(_mm_load_si128(reinterpret_cast<const __m128i*>(second + i))));
  }
#else
  for (int i = 0; i < 32; ++i) {
    low[i] = from_f16(static_cast<std::uint16_t>(words[i]));
    high[i] = from_f16(static_cast<std::uint16_t>(words[i] >> 16));
  }
#endif
}

/// Eight consecutive 16-bit elements.
inline void open_eight(Type type, const std::byte* at, float* out) {
  std::uint16_t bits[8];
  std::memcpy(bits, at, sizeof bits);
  if (type == Type::bf16) {
    for (int i = 0; i < 8; ++i) out[i] = from_bf16(bits[i]);
    return;
  }
#if defined(__AVX2__) && defined(__F16C__)
  _mm256_storeu_ps(out, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(bits))));
#else
  for (int i = 0; i < 8; ++i) out[i] = from_f16(bits[i]);
#endif
}

}  // namespace emulator
