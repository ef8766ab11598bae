// The scalar types of PTX.
#pragma once

#include <cstdint>
#include <string_view>

namespace emulator {

enum class Type : std::uint8_t {
  none,
  pred,
  b8,
  u8,
  s8,
  b16,
  u16,
  s16,
  f16,
  bf16,
  e4m3x2,
  e5m2x2,
  b32,
  u32,
  s32,
  f32,
  tf32,
  f16x2,
  bf16x2,
  b64,
  u64,
  s64,
  f64,
  b128,
};

/// none where `name` ("f32") is no type.
Type type_named(std::string_view name);
/// A predicate has none.
int bytes_of(Type type);

inline bool is_signed(Type type) {
  return type == Type::s8 || type == Type::s16 || type == Type::s32 || type == Type::s64;
}

}  // namespace emulator
