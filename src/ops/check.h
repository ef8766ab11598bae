// One-line argument checks in the caller's words. On the hot path they are integer compares: messages are formatted
// in functions that are not inlined and run only when a check fails.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>
#include <string_view>

#include "sprue/error.h"
#include "sprue/tensor.h"

namespace sprue::ops {

[[noreturn, gnu::cold]] void refuse_with(std::string_view op, fmt::string_view format, fmt::format_args args);

template <class... Args>
[[noreturn, gnu::cold, gnu::noinline]] void refuse(std::string_view op, fmt::format_string<Args...> format,
                                                   const Args&... args) {
  refuse_with(op, fmt::string_view(format), fmt::make_format_args(args...));
}

/// SPRUE_CHECK("rms_norm", eps >= 0, "eps must not be negative, but is {}", eps)
#define SPRUE_CHECK(op, condition, ...) \
  if (!(condition)) [[unlikely]]        \
  ::sprue::ops::refuse(op, __VA_ARGS__)

/// How an operator names an argument and what it does with it.
struct Role {
  const char* op;
  const char* name;
  bool output = false;
  bool rows = true;       ///< The last dimension must be contiguous.
  bool with_data = true;  ///< false in prepare(): null stands for memory that is still to come, 16-byte aligned.
};

/// Sane extents, data where there are elements, aligned to the element, rows contiguous, no two outputs in one place.
void check_view(const Role& role, const ConstTensor& tensor);

bool same_shape(const Extents& a, const Extents& b);

/// ArgumentError if an output shares memory with an input; `exact` allows the very same view. Views that interleave
/// without touching, such as slices of one packed tensor, pass.
void check_no_overlap(const char* op, const char* output_name, const ConstTensor& output, const char* input_name,
                      const ConstTensor& input, bool exact);

/// The number of elements of a shape; ArgumentError beyond 2^63 - 1.
std::int64_t count(const char* op, const Extents& extents, int dimensions);

/// The largest of 16, 8, 4 and 2 bytes that divides everything it has met.
class Alignment {
 public:
  void meet(const ConstTensor& tensor) {
    bits_ |= reinterpret_cast<std::uintptr_t>(tensor.data);
    for (int i = 0; i + 1 < tensor.extents.rank; ++i) {
      if (tensor.extents.shape[i] != 1) bits_ |= static_cast<std::uintptr_t>(tensor.extents.stride[i]) * size_of(tensor.dtype);
    }
  }
  std::int64_t bytes() const { return std::int64_t{1} << std::countr_zero(bits_); }

 private:
  std::uintptr_t bits_ = 16;
};

/// ceil(items / per_block) blocks times `copies`; ArgumentError beyond what a grid can hold.
unsigned grid_size(const char* op, std::int64_t items, int per_block, std::int64_t copies);

}  // namespace sprue::ops
