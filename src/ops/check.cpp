// Argument checks: the parts that need a loop, and the formatting of refusals.
#include "ops/check.h"

#include <limits>

namespace sprue::ops {
namespace {

std::uint64_t stride_bytes(const View& view, int i) {
  const auto stride = static_cast<std::uint64_t>(view.extents.stride[i]);
  return (view.extents.stride[i] < 0 ? 0 - stride : stride) * view.element_bytes();
}

/// Where a view lies within a period, if it repeats with it: what the dimensions with smaller strides touch.
struct Slice {
  bool repeats = true;
  std::uint64_t first, bytes;
};

Slice slice(const View& view, std::uint64_t period) {
  Slice slice{.first = reinterpret_cast<std::uintptr_t>(view.data), .bytes = view.element_bytes()};
  for (int i = 0; i < view.extents.rank; ++i) {
    const std::uint64_t stride = stride_bytes(view, i);
    if (view.extents.shape[i] == 1) continue;
    if (stride >= period) {
      slice.repeats &= stride % period == 0;
      continue;
    }
    const std::uint64_t reach = (static_cast<std::uint64_t>(view.extents.shape[i]) - 1) * stride;
    slice.bytes += reach;
    if (view.extents.stride[i] < 0) slice.first -= reach;
  }
  return slice;
}

bool interleaved(const View& a, const View& b, std::uint64_t period) {
  const Slice in_a = slice(a, period), in_b = slice(b, period);
  const std::uint64_t gap = (in_b.first % period + period - in_a.first % period) % period;
  return in_a.repeats && in_b.repeats && in_a.bytes <= gap && in_b.bytes <= period - gap;
}

}  // namespace

void refuse_with(std::string_view op, fmt::string_view format, fmt::format_args args) {
  throw ArgumentError(fmt::format("[{}] {}", op, fmt::vformat(format, args)));
}

void check_view(const char* op, const View& view, const ViewRules& rules) {
  const Extents& extents = view.extents;
  const int last = extents.rank - 1;
  SPRUE_CHECK(op, view.smallest_extent >= 0, "{} must not have negative extents, but is {}", view.name,
              extents.print());
  SPRUE_CHECK(op, view.first % view.element_bytes() == 0,
              "{} must be aligned to its {}-byte elements, but its data is at {}", view.name,
              view.element_bytes(), view.data);
  if (view.empty()) return;
  SPRUE_CHECK(op, !rules.contiguous_rows || extents.stride[last] == 1 || extents.shape[last] == 1,
              "{} must be contiguous in its last dimension (stride 1), but has stride {}", view.name,
              extents.stride[last]);
  SPRUE_CHECK(op, view.data != nullptr || !rules.with_data,
              "{} must point to device memory for {} elements, but its data is null", view.name,
              extents.print());
  for (int i = 0; rules.output && i < extents.rank; ++i) {
    SPRUE_CHECK(
        op, extents.stride[i] != 0 || extents.shape[i] == 1,
        "{} is written, so its elements must not share memory, but dimension {} of extent {} has stride 0",
        view.name, i, extents.shape[i]);
  }
}

bool same_shape(const Extents& a, const Extents& b) {
  return a.rank == b.rank && std::equal(a.shape.begin(), a.shape.begin() + a.rank, b.shape.begin());
}

bool same_view(const View& a, const View& b) {
  if (a.data != b.data || a.dtype != b.dtype || !same_shape(a.extents, b.extents)) return false;
  for (int i = 0; i < a.extents.rank; ++i) {
    if (a.extents.shape[i] != 1 && a.extents.stride[i] != b.extents.stride[i]) return false;
  }
  return true;
}

bool interleaved(const View& a, const View& b) {
  if (a.empty() || b.empty()) return true;
  for (const View* view : {&a, &b}) {
    for (int i = 0; i < view->extents.rank; ++i) {
      const std::uint64_t period = stride_bytes(*view, i);
      if (view->extents.shape[i] > 1 && period != 0 && interleaved(a, b, period)) return true;
    }
  }
  return false;
}

std::int64_t count(const char* op, const Extents& extents, int dimensions) {
  std::int64_t product = 1;
  bool overflow = false;
  for (int i = 0; i < dimensions; ++i) {
    if (extents.shape[i] == 0) return 0;
    overflow |= __builtin_mul_overflow(product, extents.shape[i], &product);
  }
  SPRUE_CHECK(op, !overflow, "a tensor must have less than 2^63 elements, but is {}", extents.print());
  return product;
}

unsigned grid_size(const char* op, std::int64_t blocks, std::int64_t copies) {
  constexpr std::int64_t kMostBlocks = std::numeric_limits<std::int32_t>::max();
  std::int64_t total = 0;
  const bool overflow = __builtin_mul_overflow(blocks, copies, &total);
  SPRUE_CHECK(op, !overflow && total <= kMostBlocks,
              "one launch must need at most {} blocks, but {} times {} are more", kMostBlocks, copies,
              blocks);
  return static_cast<unsigned>(total);
}

unsigned grid_size(const char* op, std::int64_t items, int per_block, std::int64_t copies) {
  return grid_size(op, items / per_block + (items % per_block != 0), copies);
}

}  // namespace sprue::ops
