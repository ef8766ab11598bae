#include "sprue/tensor.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <limits>

#include "sprue/error.h"

namespace sprue {
namespace {

/// Of two numbers that are not negative; the largest number there is where it would overflow.
std::int64_t product(std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  return __builtin_mul_overflow(a, b, &result) ? std::numeric_limits<std::int64_t>::max() : result;
}

}  // namespace

std::size_t size_of(DType dtype) {
  switch (dtype) {
    case DType::i64: return 8;
    case DType::f32:
    case DType::i32: return 4;
    case DType::f16:
    case DType::bf16: return 2;
    case DType::u8:
    case DType::i8:
    case DType::e4m3: break;
  }
  return 1;
}

const char* name_of(DType dtype) {
  switch (dtype) {
    case DType::f32: return "f32";
    case DType::f16: return "f16";
    case DType::bf16: return "bf16";
    case DType::i32: return "i32";
    case DType::u8: return "u8";
    case DType::i8: return "i8";
    case DType::i64: return "i64";
    case DType::e4m3: return "e4m3";
  }
  return "unknown";
}

Extents::Extents(std::span<const std::int64_t> extents) {
  if (extents.size() > kMaxRank) {
    throw ArgumentError(fmt::format("a tensor may have at most {} dimensions, but has {}", kMaxRank, extents.size()));
  }
  rank = static_cast<int>(extents.size());
  std::int64_t step = 1;
  for (int i = rank - 1; i >= 0; --i) {
    if (extents[i] < 0) throw ArgumentError(fmt::format("an extent must not be negative, but extent {} is {}", i, extents[i]));
    shape[i] = extents[i];
    stride[i] = step;
    step = product(step, extents[i]);
  }
}

Extents::Extents(std::span<const std::int64_t> extents, std::span<const std::int64_t> strides) : Extents(extents) {
  if (strides.size() != extents.size()) {
    throw ArgumentError(fmt::format("a tensor of {} dimensions must have as many strides, but has {}", extents.size(), strides.size()));
  }
  for (int i = 0; i < rank; ++i) stride[i] = strides[i];
}

std::int64_t Extents::elements() const {
  std::int64_t count = 1;
  for (int i = 0; i < rank; ++i) count = product(count, shape[i]);
  return count;
}

bool Extents::contiguous() const {
  std::int64_t step = 1;
  for (int i = rank - 1; i >= 0; --i) {
    if (shape[i] != 1 && stride[i] != step) return elements() == 0;
    step = product(step, shape[i]);
  }
  return true;
}

std::string Extents::print() const {
  return fmt::format("[{}]", fmt::join(std::span(shape.data(), static_cast<std::size_t>(rank)), ", "));
}

}  // namespace sprue
