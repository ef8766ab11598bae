// Conversions between float and the narrower types, by their bits.
#include "reference/scalar.h"

#include <bit>
#include <cstring>

#include "reference/parallel.h"

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

std::uint8_t e4m3_bits(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = bits >> 24 & 0x80;
  const std::uint32_t magnitude = bits & 0x7fffffff;
  std::uint32_t narrow = 0;
  if (magnitude > 0x7f800000) {
    narrow = 0x7f;  // NaN
  } else if (magnitude >= std::bit_cast<std::uint32_t>(448.0f)) {
    narrow = 0x7e;
  } else if (magnitude < 0x3c800000) {
    // Below 2^-6 the last bit is worth 2^-9, as it is for floats in [2^14, 2^15): the addition rounds.
    narrow = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0x1p14f) - 0x46800000;
  } else {
    narrow = (magnitude - (120u << 23) + 0x7ffff + (magnitude >> 20 & 1)) >> 20;
  }
  return static_cast<std::uint8_t>(sign | narrow);
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

float e4m3_value(std::uint8_t bits) {
  const std::uint32_t magnitude = bits & 0x7f;
  float value = 0;
  if (magnitude < 8) {
    value = static_cast<float>(magnitude) * 0x1p-9f;  // zero and subnormal
  } else if (magnitude < 0x7f) {
    value = std::bit_cast<float>((magnitude << 20) + (120u << 23));
  } else {
    value = std::bit_cast<float>(0x7fc00000);
  }
  return (bits & 0x80) != 0 ? -value : value;
}

namespace {

template <class Bits, class Convert>
std::vector<std::byte> encoded(std::span<const float> values, const Convert& convert) {
  std::vector<std::byte> bytes(values.size() * sizeof(Bits));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const Bits bits = convert(values[i]);
    std::memcpy(&bytes[sizeof(Bits) * i], &bits, sizeof(Bits));
  }
  return bytes;
}

template <class Bits, class Convert>
std::vector<float> decoded(std::span<const std::byte> bytes, const Convert& convert) {
  std::vector<float> values(bytes.size() / sizeof(Bits));
  parallel_chunks(values.size(), [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
      Bits bits = 0;
      std::memcpy(&bits, &bytes[sizeof(Bits) * i], sizeof(Bits));
      values[i] = convert(bits);
    }
  });
  return values;
}

template <class Integer>
std::vector<std::byte> integers(std::span<const float> values) {
  return encoded<Integer>(values, [](float value) { return static_cast<Integer>(value); });
}
template <class Integer>
std::vector<float> floats(std::span<const std::byte> bytes) {
  return decoded<Integer>(bytes, [](Integer value) { return static_cast<float>(value); });
}

}  // namespace

float rounded(float value, DType dtype) {
  switch (dtype) {
    case DType::f16: return f16_value(f16_bits(value));
    case DType::bf16: return bf16_value(bf16_bits(value));
    case DType::e4m3: return e4m3_value(e4m3_bits(value));
    case DType::f32:
    case DType::i32:
    case DType::u8:
    case DType::i8:
    case DType::i64: break;
  }
  return value;
}

std::vector<std::byte> narrow(std::span<const float> values, DType dtype) {
  switch (dtype) {
    case DType::f16: return encoded<std::uint16_t>(values, f16_bits);
    case DType::bf16: return encoded<std::uint16_t>(values, bf16_bits);
    case DType::e4m3: return encoded<std::uint8_t>(values, e4m3_bits);
    case DType::i32: return integers<std::int32_t>(values);
    case DType::u8: return integers<std::uint8_t>(values);
    case DType::i8: return integers<std::int8_t>(values);
    case DType::i64: return integers<std::int64_t>(values);
    case DType::f32: break;
  }
  const auto bytes = std::as_bytes(values);
  return {bytes.begin(), bytes.end()};
}

std::vector<float> widen(std::span<const std::byte> bytes, DType dtype) {
  switch (dtype) {
    case DType::f16: return decoded<std::uint16_t>(bytes, f16_value);
    case DType::bf16: return decoded<std::uint16_t>(bytes, bf16_value);
    case DType::e4m3: return decoded<std::uint8_t>(bytes, e4m3_value);
    case DType::i32: return floats<std::int32_t>(bytes);
    case DType::u8: return floats<std::uint8_t>(bytes);
    case DType::i8: return floats<std::int8_t>(bytes);
    case DType::i64: return floats<std::int64_t>(bytes);
    case DType::f32: break;
  }
  std::vector<float> values(bytes.size() / sizeof(float));
  if (!values.empty()) std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return values;
}

}  // namespace sprue::reference
