// TensorMap: the descriptor through which the tensor memory accelerator of sm_90 and later copies tiles.
#pragma once

#include <array>

#include "sprue/tensor.h"

namespace sprue::driver {

/// A kernel takes it by value inside its __grid_constant__ parameters, aligned alike.
struct alignas(128) TensorMap {
  unsigned char opaque[128];
};

inline constexpr int kMaxTensorMapRank = 5;

/// A tensor and the tile that one copy moves. Dimensions are outermost first, as in Extents.
struct TensorMapSpec {
  const void* data = nullptr;  ///< 16-byte aligned.
  DType dtype = DType::f16;
  Extents extents;  ///< Rank 1 to 5; the last stride is 1, all others multiples of 16 bytes.
  std::array<int, kMaxTensorMapRank> box = {};  ///< 1 to 256 elements; the last one a multiple of 16 bytes.
  int swizzle_bytes = 0;                        ///< 0, 32, 64 or 128: not less than a row of the tile.
  int l2_bytes = 128;                           ///< 0, 64, 128 or 256: what a miss fetches into L2 at once.
};

/// Elements outside the tensor read as zero. ArgumentError for what the hardware cannot do.
TensorMap encode_tensor_map(const TensorMapSpec& spec);

}  // namespace sprue::driver
