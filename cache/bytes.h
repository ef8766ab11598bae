// Integers as little-endian bytes, for the file formats of this folder.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/digest.h"

namespace sprue::cache {

/// Appends the lowest `width` bytes of a number.
inline void put(std::string& out, std::uint64_t number, std::size_t width) {
  for (std::size_t i = 0; i < width; ++i) out += static_cast<char>(number >> 8 * i & 0xff);
}

/// The number in bytes[at, at + width), which must lie inside.
inline std::uint64_t get(std::string_view bytes, std::size_t at, std::size_t width) {
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < width; ++i) {
    number |= std::uint64_t{static_cast<unsigned char>(bytes[at + i])} << 8 * i;
  }
  return number;
}

/// A digest's bytes as text.
inline std::string_view view(const Digest& digest) {
  return {reinterpret_cast<const char*>(digest.bytes.data()), digest.bytes.size()};
}

}  // namespace sprue::cache
