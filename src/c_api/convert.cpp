#include "c_api/convert.h"

#include <string>

namespace sprue::c_api {
namespace {

static_assert(SPRUE_MAX_RANK == kMaxRank);
static_assert(SPRUE_F32 == static_cast<int>(DType::f32) && SPRUE_F16 == static_cast<int>(DType::f16) &&
              SPRUE_BF16 == static_cast<int>(DType::bf16) && SPRUE_I32 == static_cast<int>(DType::i32) &&
              SPRUE_U8 == static_cast<int>(DType::u8) && SPRUE_I8 == static_cast<int>(DType::i8) &&
              SPRUE_I64 == static_cast<int>(DType::i64) && SPRUE_E4M3 == static_cast<int>(DType::e4m3));

thread_local std::string last_error;

}  // namespace

int failed(sprue_status status, const char* message) noexcept {
  try {
    last_error = message;
  } catch (...) {
    last_error.clear();  // No memory for the text; the status still says what happened.
  }
  return status;
}

std::size_t checked_size(const char* name, std::size_t given, std::size_t known) {
  constexpr std::size_t kAbsurd =
      1 << 16;  // An uninitialised struct_size must not make us read far beyond it.
  if (given > sizeof(std::size_t) && given < kAbsurd) return std::min(given, known);
  throw ArgumentError(fmt::format("{}.struct_size must be its sizeof, {}, but is {}", name, known, given));
}

Tensor tensor_of(const char* name, const sprue_tensor& tensor) {
  if (tensor.dtype < SPRUE_F32 || tensor.dtype > SPRUE_E4M3) {
    throw ArgumentError(fmt::format("{}.dtype must be a sprue_dtype from SPRUE_F32 (0) to SPRUE_E4M3 (7), but is {}",
                                    name, tensor.dtype));
  }
  if (tensor.rank < 0 || tensor.rank > SPRUE_MAX_RANK) {
    throw ArgumentError(fmt::format("{}.rank must be 0 to {}, but is {}", name, SPRUE_MAX_RANK, tensor.rank));
  }
  const auto rank = static_cast<std::size_t>(tensor.rank);
  return {tensor.data, static_cast<DType>(tensor.dtype),
          Extents(std::span(tensor.shape, rank), std::span(tensor.stride, rank))};
}

bool read_flag(const char* name, int given) {
  if (given == 0 || given == 1) return given == 1;
  throw ArgumentError(fmt::format("{} must be 0 or 1, but is {}", name, given));
}

}  // namespace sprue::c_api

const char* sprue_last_error_message(void) {
  return sprue::c_api::last_error.c_str();
}
