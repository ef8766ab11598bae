// TileMap.
#include "ops/tile_map.h"

namespace sprue {

int swizzle_bytes(int columns) {
  const int padded = (columns + 15) / 16 * 16;
  return padded % 64 == 0 ? 128 : padded % 32 == 0 ? 64 : 32;
}

TileMap::TileMap(const void* data, DType dtype) {
  spec_.data = data;
  spec_.dtype = dtype;
}

TileMap& TileMap::dimension(std::int64_t extent, std::int64_t stride, int box) {
  Extents& extents = spec_.extents;
  extents.shape[extents.rank] = extent;
  extents.stride[extents.rank] = extent == 1 ? 16 / kElementBytes : stride;
  spec_.box[extents.rank++] = box;
  return *this;
}

driver::TensorMap TileMap::columns(int extent, int of_tile) {
  spec_.swizzle_bytes = swizzle_bytes(of_tile);
  spec_.extents.shape[spec_.extents.rank] = extent;
  spec_.extents.stride[spec_.extents.rank] = 1;
  spec_.box[spec_.extents.rank++] = spec_.swizzle_bytes / kElementBytes;
  return driver::encode_tensor_map(spec_);
}

driver::TensorMap map_of(const void* data, const AttentionArguments::Strides& stride, DType dtype,
                         std::int64_t batch, std::int64_t heads, std::int64_t positions, int rows,
                         int columns, int of_tile) {
  return TileMap(data, dtype)
      .dimension(batch, stride[0], 1)
      .dimension(heads, stride[2], 1)
      .dimension(positions, stride[1], rows)
      .columns(columns, of_tile);
}

bool has_tensor_map(const ops::View& view) {
  constexpr std::int64_t kLimit = (std::int64_t{1} << 40) / TileMap::kElementBytes;
  for (int i = 0; i + 1 < view.extents.rank; ++i) {
    const std::int64_t stride = view.extents.stride[i];
    if (view.extents.shape[i] != 1 && (stride < 0 || stride >= kLimit)) return false;
  }
  return view.extents.shape[0] != 0;  // there are pages
}

}  // namespace sprue
