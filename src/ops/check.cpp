// Argument checks: the parts that need a loop, and the formatting of refusals.
#include "ops/check.h"

namespace sprue::ops {
namespace {

std::uint64_t stride_bytes(const ConstTensor& tensor, int i) {
  const auto stride = static_cast<std::uint64_t>(tensor.extents.stride[i]);
  return (tensor.extents.stride[i] < 0 ? 0 - stride : stride) * size_of(tensor.dtype);
}

bool empty(const Extents& extents) {
  for (int i = 0; i < extents.rank; ++i) {
    if (extents.shape[i] == 0) return true;
  }
  return false;
}

/// The bytes from the lowest to the highest element, over the dimensions whose stride is below `period`.
struct Reach {
  std::uint64_t first, bytes;
};

Reach reach(const ConstTensor& tensor, std::uint64_t period) {
  Reach r{reinterpret_cast<std::uintptr_t>(tensor.data), size_of(tensor.dtype)};
  for (int i = 0; i < tensor.extents.rank; ++i) {
    if (stride_bytes(tensor, i) >= period) continue;
    const std::uint64_t step = static_cast<std::uint64_t>(tensor.extents.shape[i] - 1) * stride_bytes(tensor, i);
    r.bytes += step;
    if (tensor.extents.stride[i] < 0) r.first -= step;
  }
  return r;
}

bool repeats_every(std::uint64_t period, const ConstTensor& tensor) {
  for (int i = 0; i < tensor.extents.rank; ++i) {
    const std::uint64_t stride = stride_bytes(tensor, i);
    if (tensor.extents.shape[i] > 1 && stride >= period && stride % period != 0) return false;
  }
  return true;
}

/// Both views repeat with this period, and what they touch within one period is apart.
bool interleave(std::uint64_t period, const ConstTensor& a, const ConstTensor& b) {
  if (!repeats_every(period, a) || !repeats_every(period, b)) return false;
  const Reach in_a = reach(a, period), in_b = reach(b, period);
  const std::uint64_t gap = (in_b.first % period + period - in_a.first % period) % period;
  return in_a.bytes <= gap && in_b.bytes <= period - gap;
}

bool apart(const ConstTensor& a, const ConstTensor& b) {
  constexpr std::uint64_t kAll = std::numeric_limits<std::uint64_t>::max();
  const Reach all_a = reach(a, kAll), all_b = reach(b, kAll);
  if (all_a.first + all_a.bytes <= all_b.first || all_b.first + all_b.bytes <= all_a.first) return true;
  for (const ConstTensor* tensor : {&a, &b}) {
    for (int i = 0; i < tensor->extents.rank; ++i) {
      const std::uint64_t period = stride_bytes(*tensor, i);
      if (tensor->extents.shape[i] > 1 && period != 0 && interleave(period, a, b)) return true;
    }
  }
  return false;
}

bool same_view(const ConstTensor& a, const ConstTensor& b) {
  if (a.data != b.data || a.dtype != b.dtype || !same_shape(a.extents, b.extents)) return false;
  for (int i = 0; i < a.extents.rank; ++i) {
    if (a.extents.shape[i] != 1 && a.extents.stride[i] != b.extents.stride[i]) return false;
  }
  return true;
}

}  // namespace

void refuse_with(std::string_view op, fmt::string_view format, fmt::format_args args) {
  throw ArgumentError(fmt::format("[{}] {}", op, fmt::vformat(format, args)));
}

void check_view(const Role& role, const ConstTensor& tensor) {
  const auto& [op, name, output, rows, with_data] = role;
  const Extents& extents = tensor.extents;
  const bool has_elements = !empty(extents);
  for (int i = 0; i < extents.rank; ++i) {
    SPRUE_CHECK(op, extents.shape[i] >= 0, "{} must not have negative extents, but is {}", name, extents.print());
    SPRUE_CHECK(op, !output || !has_elements || extents.stride[i] != 0 || extents.shape[i] == 1,
                "{} is written, so its elements must not share memory, but dimension {} of extent {} has stride 0",
                name, i, extents.shape[i]);
  }
  const int last = extents.rank - 1;
  SPRUE_CHECK(op, !rows || extents.stride[last] == 1 || extents.shape[last] == 1 || !has_elements,
              "{} must be contiguous in its last dimension (stride 1), but has stride {}", name,
              extents.stride[last]);
  SPRUE_CHECK(op, tensor.data != nullptr || !with_data || !has_elements,
              "{} must point to device memory for {} elements, but its data is null", name, extents.print());
  SPRUE_CHECK(op, reinterpret_cast<std::uintptr_t>(tensor.data) % size_of(tensor.dtype) == 0,
              "{} must be aligned to its {}-byte elements, but its data is at {}", name, size_of(tensor.dtype),
              tensor.data);
}

bool same_shape(const Extents& a, const Extents& b) {
  return a.rank == b.rank && std::equal(a.shape.begin(), a.shape.begin() + a.rank, b.shape.begin());
}

void check_no_overlap(const char* op, const char* output_name, const ConstTensor& output, const char* input_name,
                      const ConstTensor& input, bool exact) {
  if (output.data == nullptr || input.data == nullptr || empty(output.extents) || empty(input.extents)) return;
  if (exact && same_view(output, input)) return;
  SPRUE_CHECK(op, apart(output, input), "{} must not overlap {}{}, but they share memory", output_name, input_name,
              exact ? " unless both are the same view" : "");
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

unsigned grid_size(const char* op, std::int64_t items, int per_block, std::int64_t copies) {
  constexpr std::int64_t kMostBlocks = std::numeric_limits<std::int32_t>::max();
  const std::int64_t blocks = items / per_block + (items % per_block != 0);
  std::int64_t total = 0;
  const bool overflow = __builtin_mul_overflow(blocks, copies, &total);
  SPRUE_CHECK(op, !overflow && total <= kMostBlocks,
              "one launch must need at most {} blocks, but {} times {} rows at {} per block need more", kMostBlocks,
              copies, items, per_block);
  return static_cast<unsigned>(total);
}

}  // namespace sprue::ops
