// NumPy's .npy files: a strict reader of versions 1, 2 and 3, and a writer of version 1.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sprue/tensor.h"

namespace sprue::tools {

/// A contiguous row-major tensor in host memory.
struct HostTensor {
  DType dtype = DType::f32;
  std::vector<std::int64_t> shape;
  std::vector<std::byte> bytes;

  std::int64_t elements() const;
};

/// How the file keeps an element. `bits16` is '<V2' or '<u2': how bfloat16 is kept, which NumPy does not
/// know.
enum class NpyElement { f16, f32, f64, bits16, i32, i64, u8, i8 };

/// A file's content, always row-major and little endian, whatever the file's order was.
struct NpyArray {
  NpyElement element = NpyElement::f32;
  std::vector<std::int64_t> shape;
  std::vector<std::byte> bytes;
};

/// ArgumentError, starting with `name`, unless the bytes are exactly one array of a known element type.
NpyArray parse_npy(std::string_view bytes, std::string_view name);
/// The bytes of a file, with '<V2' for bits16.
std::string encode_npy(const NpyArray& array);

/// f16, f32, i32, u8 and i8 stay, f64 becomes f32, bits16 bf16 and i64 i32; then converted to `wanted` where given.
/// The bits of e4m3 are kept as u8. ArgumentError for integers where floating point is wanted, and the other way round,
/// and for integers that `wanted` does not hold.
HostTensor to_tensor(const NpyArray& array, std::optional<DType> wanted);
NpyArray to_npy(const HostTensor& tensor);

HostTensor read_npy(const std::filesystem::path& file, std::optional<DType> wanted);
void write_npy(const std::filesystem::path& file, const HostTensor& tensor);

}  // namespace sprue::tools
