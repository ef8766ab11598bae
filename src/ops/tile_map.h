// TileMap: tensor maps of tensors of 16-bit elements, as the kernels of attention copy tiles of them.
#pragma once

#include <cstdint>

#include "driver/tensor_map.h"
#include "ops/attention_arguments.h"
#include "ops/check.h"

namespace sprue {

/// How wide a copy of a tile of so many columns is: as wide as leaves no 16 of them unused. What the
/// templates call swizzle_of.
int swizzle_bytes(int columns);

/// A map of dimensions added outermost first. Strides of extents of 1 mean nothing and must still be legal.
class TileMap {
 public:
  static constexpr int kElementBytes = 2;

  TileMap(const void* data, DType dtype);
  /// `box` elements of it are copied at once.
  TileMap& dimension(std::int64_t extent, std::int64_t stride, int box);
  /// The last dimension; copies are as wide as swizzle_bytes(of_tile).
  driver::TensorMap columns(int extent, int of_tile);

 private:
  driver::TensorMapSpec spec_;
};

/// Of [batch, heads, positions, columns], `rows` positions at once.
driver::TensorMap map_of(const void* data, const AttentionArguments::Strides& stride, DType dtype,
                         std::int64_t batch, std::int64_t heads, std::int64_t positions, int rows,
                         int columns, int of_tile);

/// Whether a tensor map can describe a tensor that is 16-byte aligned: no stride runs backwards or reaches
/// 2^40 bytes.
bool has_tensor_map(const ops::View& view);

}  // namespace sprue
