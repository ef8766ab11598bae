#include "emulator/tensor_map.h"

#include <algorithm>
#include <cstring>

#include "emulator/atomic.h"
#include "emulator/memory.h"

namespace emulator {
namespace {

/// Elements [begin, end) of a row of the box are inside of the tensor, and begin at `data`.
struct Row {
  std::int64_t begin = 0, end = 0;
  std::byte* data = nullptr;
};

Row row_at(const TensorMap& map, const std::int32_t (&coordinate)[5], const std::uint32_t (&index)[5]) {
  std::uint64_t address = map.data;
  for (int d = 1; d < map.rank; ++d) {
    const std::int64_t c = std::int64_t{coordinate[d]} + index[d];
    if (c < 0 || c >= static_cast<std::int64_t>(map.extent[d])) return {};
    address += static_cast<std::uint64_t>(c) * map.stride_bytes[d - 1];
  }
  const std::int64_t first = coordinate[0];
  Row row;
  row.begin = std::max<std::int64_t>(0, -first);
  row.end = std::min<std::int64_t>(map.box[0], static_cast<std::int64_t>(map.extent[0]) - first);
  if (row.begin >= row.end) return {};
  address += static_cast<std::uint64_t>(first + row.begin) * map.element_bytes;
  check_global(address, static_cast<std::size_t>(row.end - row.begin) * map.element_bytes,
               "tensor map: global");
  row.data = reinterpret_cast<std::byte*>(static_cast<std::uintptr_t>(address));
  return row;
}

}  // namespace

std::size_t TensorMap::box_bytes() const {
  std::size_t bytes = element_bytes;
  for (int d = 0; d < rank; ++d) bytes *= box[d];
  return bytes;
}

void copy_box(const TensorMap& map, const std::int32_t (&coordinate)[5], std::byte* shared,
              std::uint32_t address, BoxCopy kind) {
  const std::size_t element = map.element_bytes, row_bytes = map.box[0] * element;
  const std::size_t rows = map.box_bytes() / row_bytes;
  std::byte buffer[256 * 8];
  std::uint32_t index[5] = {};
  for (std::size_t r = 0; r < rows; ++r) {
    const Row row = row_at(map, coordinate, index);
    const auto chunk_at = [&](std::size_t byte) {
      const auto linear = static_cast<std::uint32_t>(address + r * row_bytes + byte);
      return shared + (static_cast<std::int64_t>(swizzled(linear, map.swizzle_bytes)) - address);
    };
    const auto inside = static_cast<std::size_t>(row.end - row.begin) * element;
    const std::size_t skipped = static_cast<std::size_t>(row.begin) * element;
    if (kind == BoxCopy::load) {
      std::memset(buffer, 0, row_bytes);
      if (inside != 0) std::memcpy(buffer + skipped, row.data, inside);
      for (std::size_t byte = 0; byte < row_bytes; byte += 16) std::memcpy(chunk_at(byte), buffer + byte, 16);
    } else if (inside != 0) {
      for (std::size_t byte = 0; byte < row_bytes; byte += 16) std::memcpy(buffer + byte, chunk_at(byte), 16);
      if (kind == BoxCopy::store) std::memcpy(row.data, buffer + skipped, inside);
      for (std::size_t byte = 0; kind == BoxCopy::add && byte < inside; byte += element)
        add_element(row.data + byte, buffer + skipped + byte, map.type);
    }
    for (int d = 1; d < map.rank; ++d) {
      if (++index[d] < map.box[d]) break;
      index[d] = 0;
    }
  }
}

}  // namespace emulator
