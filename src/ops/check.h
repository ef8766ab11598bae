// One-line argument checks in the caller's words. On the hot path they are integer compares: messages are
// formatted in functions that are not inlined and run only when a check fails.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstdint>
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

/// Whether a tensor is there at all: one with data but without dimensions is a mistake for the checks to
/// find.
template <class AnyTensor>
bool given(const AnyTensor& tensor) {
  return tensor.extents.rank != 0 || tensor.data != nullptr;
}

/// An argument as the checks see it: a tensor's name and, from one pass over its dimensions, what it touches.
struct View {
  template <class AnyTensor>
  View(const char* name, const AnyTensor& tensor)
      : name(name), data(tensor.data), extents(tensor.extents), dtype(tensor.dtype) {
    const std::uint64_t bytes = size_of(dtype);
    first = reinterpret_cast<std::uintptr_t>(data);
    end = first + bytes;
    divisors = first;
    for (int i = 0; i < extents.rank; ++i) {
      smallest_extent = std::min(smallest_extent, extents.shape[i]);
      if (extents.shape[i] == 1) continue;
      const std::uint64_t stride = static_cast<std::uint64_t>(extents.stride[i]) * bytes;
      const std::uint64_t reach = (static_cast<std::uint64_t>(extents.shape[i]) - 1) * stride;
      (extents.stride[i] < 0 ? first : end) += reach;
      if (i + 1 < extents.rank) divisors |= stride;
    }
  }

  std::uint64_t element_bytes() const { return size_of(dtype); }
  std::int64_t extent(int dimension) const { return extents.shape[dimension]; }
  bool empty() const { return smallest_extent == 0; }
  bool given() const { return ops::given(*this); }

  const char* name;
  const void* data;
  const Extents& extents;
  DType dtype;
  std::int64_t smallest_extent = 1;  ///< Or 1, if that is smaller.
  std::uint64_t first, end;          ///< The addresses of the lowest element and behind the highest one.
  std::uint64_t
      divisors;  ///< The address and the row strides in bytes, or-ed: what an alignment must divide.
};

struct ViewRules {
  bool output = false;
  bool contiguous_rows = true;  ///< The last dimension has stride 1.
  bool with_data =
      true;  ///< false in prepare(): null stands for memory that is still to come, 16-byte aligned.
};

/// Sane extents, data where there are elements, aligned to the element, no two elements of an output in one
/// place.
void check_view(const char* op, const View& view, const ViewRules& rules);

bool same_shape(const Extents& a, const Extents& b);

/// Whether no byte belongs to both, when first and end do not tell: views that interleave without touching,
/// such as slices of one packed tensor, are apart. May say false for two strange layouts that are.
bool interleaved(const View& a, const View& b);
inline bool apart(const View& a, const View& b) {
  return a.end <= b.first || b.end <= a.first || a.data == nullptr || b.data == nullptr || interleaved(a, b);
}
/// The very same elements in the same order.
bool same_view(const View& a, const View& b);

inline void check_apart(const char* op, const View& output, const View& other) {
  SPRUE_CHECK(op, apart(output, other), "{} must not overlap {}, but they share memory", output.name,
              other.name);
}

/// An output that may be the input itself.
inline void check_in_place(const char* op, const View& output, const View& input) {
  SPRUE_CHECK(op, apart(output, input) || same_view(output, input),
              "{} must be {} itself or not overlap it, but they share memory as different views", output.name,
              input.name);
}

/// The largest of 16, 8, 4 and 2 bytes that divides the addresses and row strides of all views.
template <class... Views>
std::int64_t alignment(const Views&... views) {
  return std::int64_t{1} << std::countr_zero((std::uint64_t{16} | ... | views.divisors));
}

/// The same in elements of each view's own size: 8, 4, 2 or 1.
template <class... Views>
std::int64_t element_alignment(const Views&... views) {
  const auto elements = [](const View& view) {
    return std::int64_t{1} << std::countr_zero(8 | view.divisors >> std::countr_zero(view.element_bytes()));
  };
  return std::min({elements(views)...});
}

/// The product of the first `dimensions` extents; ArgumentError beyond 2^63 - 1.
std::int64_t count(const char* op, const Extents& extents, int dimensions);

/// `blocks` times `copies`; ArgumentError beyond what a grid can hold.
unsigned grid_size(const char* op, std::int64_t blocks, std::int64_t copies);
/// ceil(items / per_block) blocks times `copies`; ArgumentError beyond what a grid can hold.
unsigned grid_size(const char* op, std::int64_t items, int per_block, std::int64_t copies);

}  // namespace sprue::ops
