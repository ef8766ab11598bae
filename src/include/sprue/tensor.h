// Tensor and ConstTensor: a view of device memory with a dtype, a shape and strides. Owns nothing.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

#include "sprue/export.h"

struct CUstream_st;

namespace sprue {

/// A CUDA stream; `CUstream` and `cudaStream_t` both convert. nullptr is the default stream.
using Stream = CUstream_st*;

/// e4m3: 4 bits of exponent, 3 of mantissa, no infinities, 448 at most (Micikevicius et al. 2022, arXiv:2209.05433).
enum class DType : std::uint8_t { f32, f16, bf16, i32, u8, i8, i64, e4m3 };

/// In bytes.
SPRUE_API std::size_t size_of(DType dtype);
/// As it is spelt above: "f32", say.
SPRUE_API const char* name_of(DType dtype);

/// f32, f16 or bf16: what operators compute with.
constexpr bool is_float(DType dtype) { return dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16; }

inline constexpr int kMaxRank = 6;

/// Shape and strides, in elements, outermost first.
struct SPRUE_API Extents {
  int rank = 0;
  std::array<std::int64_t, kMaxRank> shape{};
  std::array<std::int64_t, kMaxRank> stride{};

  Extents() = default;
  /// Row-major. Throws ArgumentError for a rank above kMaxRank or a negative extent.
  Extents(std::span<const std::int64_t> shape);
  Extents(std::span<const std::int64_t> shape, std::span<const std::int64_t> stride);

  std::int64_t elements() const;  ///< 1 for rank 0.
  bool contiguous() const;        ///< Row-major without gaps; extents of 1 may have any stride.
  std::string print() const;      ///< "[2, 8, 64]"
};

/// A writable view. An empty one (`data == nullptr`, rank 0) means "not given".
struct Tensor {
  void* data = nullptr;
  DType dtype = DType::f32;
  Extents extents;

  Tensor() = default;
  Tensor(void* data, DType dtype, std::initializer_list<std::int64_t> shape)
      : data(data), dtype(dtype), extents(std::span(shape.begin(), shape.size())) {}
  Tensor(void* data, DType dtype, std::initializer_list<std::int64_t> shape, std::initializer_list<std::int64_t> stride)
      : data(data), dtype(dtype), extents(std::span(shape.begin(), shape.size()), std::span(stride.begin(), stride.size())) {}
  Tensor(void* data, DType dtype, const Extents& extents) : data(data), dtype(dtype), extents(extents) {}

  bool given() const { return extents.rank != 0; }
};

/// A read-only view; every Tensor converts.
struct ConstTensor {
  const void* data = nullptr;
  DType dtype = DType::f32;
  Extents extents;

  ConstTensor() = default;
  ConstTensor(const Tensor& t) : data(t.data), dtype(t.dtype), extents(t.extents) {}
  ConstTensor(const void* data, DType dtype, std::initializer_list<std::int64_t> shape)
      : data(data), dtype(dtype), extents(std::span(shape.begin(), shape.size())) {}
  ConstTensor(const void* data, DType dtype, std::initializer_list<std::int64_t> shape,
              std::initializer_list<std::int64_t> stride)
      : data(data), dtype(dtype), extents(std::span(shape.begin(), shape.size()), std::span(stride.begin(), stride.size())) {}
  ConstTensor(const void* data, DType dtype, const Extents& extents) : data(data), dtype(dtype), extents(extents) {}

  bool given() const { return extents.rank != 0; }
};

}  // namespace sprue
