// Arithmetic by kind of type: each function gives the handler of an instruction, or nullptr if it has none.
#pragma once

#include "emulator/decoder.h"
#include "emulator/warp.h"

namespace emulator {

/// add, sub, mul, mad, div, rem, min, max, abs, neg, sad of integers.
Handler integer_arithmetic(const Statement& statement, Type type);
/// The same and fma, rcp, sqrt, rsqrt, ex2, lg2, sin, cos, tanh, copysign of f32 and f64.
Handler float_arithmetic(const Statement& statement, Type type);
/// Of f16, bf16 and pairs of them.
Handler packed_arithmetic(const Statement& statement, Type type);

}  // namespace emulator
