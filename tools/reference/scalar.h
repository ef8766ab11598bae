// Values of every dtype on the host: rounded to nearest even, and arrays of them as bytes. Integers travel as
// floats, which hold them exactly up to 2^24.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "sprue/tensor.h"

namespace sprue::reference {

std::uint16_t f16_bits(float value);
std::uint16_t bf16_bits(float value);
std::uint8_t e4m3_bits(float value);  ///< Beyond 448, and for infinities, that of 448.
float f16_value(std::uint16_t bits);
float bf16_value(std::uint16_t bits);
float e4m3_value(std::uint8_t bits);

/// The value of `dtype` that is nearest; ties go to the even one.
float rounded(float value, DType dtype);

std::vector<std::byte> narrow(std::span<const float> values, DType dtype);
std::vector<float> widen(std::span<const std::byte> bytes, DType dtype);

}  // namespace sprue::reference
