// TensorMap: the emulator's own encoding of what cuTensorMapEncodeTiled describes, and the copies of boxes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "emulator/types.h"

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
  Type type;
  std::uint8_t swizzle_bytes;

  std::size_t box_bytes() const;
};
static_assert(sizeof(TensorMap) <= 128);

/// Where in shared memory the copy engine puts what would lie at `address` without a swizzle.
inline std::uint32_t swizzled(std::uint32_t address, unsigned swizzle_bytes) {
  return swizzle_bytes == 0 ? address : address ^ (address >> 7 & (swizzle_bytes / 16 - 1)) << 4;
}

enum class BoxCopy { load, store, add };

/// Copies the box at `coordinate` between the tensor and shared memory, whose byte of address `address` is
/// *shared. What is outside of the tensor is loaded as zeros and not stored. Fault for memory that is not
/// there.
void copy_box(const TensorMap& map, const std::int32_t (&coordinate)[5], std::byte* shared,
              std::uint32_t address, BoxCopy kind);

}  // namespace emulator
