// Conversions between float and the two 16-bit types, by their bits.
#include "reference/scalar.h"

#include <bit>
#include <cstring>

namespace sprue::reference {

std::uint16_t f16_bits(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = bits >> 16 & 0x8000;
  const std::uint32_t magnitude = bits & 0x7fffffff;
  std::uint32_t half = 0;
  if (magnitude > 0x7f800000) {
    half = 0x7e00;  // NaN
  } else if (magnitude >= 0x477ff000) {
    half = 0x7c00;  // 65520 and above round to infinity
  } else if (magnitude < 0x38800000) {
    // Below 2^-14 the last bit is worth 2^-24, as it is for floats in [0.5, 1): the addition rounds.
    half = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) - 0x3f000000;
  } else {
    half = (magnitude - (112u << 23) + 0xfff + (magnitude >> 13 & 1)) >> 13;
  }
  return static_cast<std::uint16_t>(sign | half);
}

std::uint16_t bf16_bits(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffff) > 0x7f800000) return static_cast<std::uint16_t>(bits >> 16 | 0x40);  // quiet NaN
  return static_cast<std::uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

float f16_value(std::uint16_t bits) {
  const std::uint32_t magnitude = bits & 0x7fff;
  float value = 0;
  if (magnitude < 0x400) {
    value = static_cast<float>(magnitude) * 0x1p-24f;  // zero and subnormal
  } else if (magnitude < 0x7c00) {
    value = std::bit_cast<float>((magnitude << 13) + (112u << 23));
  } else {
    value = std::bit_cast<float>(0x7f800000 | (magnitude & 0x3ff) << 13);
  }
  return (bits & 0x8000) != 0 ? -value : value;
}

float bf16_value(std::uint16_t bits) {
  return std::bit_cast<float>(std::uint32_t{bits} << 16);
}

float rounded(float value, DType dtype) {
  switch (dtype) {
    case DType::f16:
      return f16_value(f16_bits(value));
    case DType::bf16:
      return bf16_value(bf16_bits(value));
    case DType::f32:
    case DType::i32:
      break;
  }
  return value;
}

std::vector<std::byte> narrow(std::span<const float> values, DType dtype) {
  std::vector<std::byte> bytes(values.size() * size_of(dtype));
  if (dtype == DType::f32) {
    if (!values.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
    return bytes;
  }
  if (dtype == DType::i32) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      const auto integer = static_cast<std::int32_t>(values[i]);
      std::memcpy(&bytes[4 * i], &integer, 4);
    }
    return bytes;
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::uint16_t bits = dtype == DType::f16 ? f16_bits(values[i]) : bf16_bits(values[i]);
    std::memcpy(&bytes[2 * i], &bits, 2);
  }
  return bytes;
}

std::vector<float> widen(std::span<const std::byte> bytes, DType dtype) {
  std::vector<float> values(bytes.size() / size_of(dtype));
  if (dtype == DType::f32) {
    if (!values.empty()) std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
    return values;
  }
  if (dtype == DType::i32) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      std::int32_t integer = 0;
      std::memcpy(&integer, &bytes[4 * i], 4);
      values[i] = static_cast<float>(integer);
    }
    return values;
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::uint16_t bits = 0;
    std::memcpy(&bits, &bytes[2 * i], 2);
    values[i] = dtype == DType::f16 ? f16_value(bits) : bf16_value(bits);
  }
  return values;
}

}  // namespace sprue::reference
