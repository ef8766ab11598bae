// TensorMap: the emulator's own encoding of what cuTensorMapEncodeTiled describes.
#pragma once

#include <cstdint>

namespace emulator {

struct TensorMap {
  static constexpr std::uint64_t kMagic = 0x70616d5f726f736e;
  std::uint64_t magic;
  std::uint64_t data;
  std::uint64_t extent[5];        ///< Elements, innermost dimension first.
  std::uint64_t stride_bytes[4];  ///< Of dimensions 1 and up.
  std::uint16_t box[5];
  std::uint8_t rank;
  std::uint8_t element_bytes;
  std::uint8_t type;  ///< CUtensorMapDataType
  std::uint8_t swizzle_bytes;
};
static_assert(sizeof(TensorMap) <= 128);

}  // namespace emulator
