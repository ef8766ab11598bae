// The dimensions in front of the last one, merged: how row-wise kernels find their rows.
#pragma once

#include <bit>

#include "sprue/tensor.h"

namespace sprue::ops {

/// The next power of two: what kernels are told of a row's length that is an argument of theirs.
inline std::int64_t most_columns(std::int64_t columns) {
  return static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(columns)));
}
/// The largest power of two that divides the length of rows, too.
inline std::int64_t with_columns(std::int64_t alignment, std::int64_t columns) {
  return std::int64_t{1} << std::countr_zero(static_cast<std::uint64_t>(alignment | columns));
}

/// How many groups walk over rows, if `most` can at once: all over as many rows, as far as that goes.
inline std::int64_t walking_groups(std::int64_t rows, std::int64_t most) {
  const std::int64_t turns = (rows + most - 1) / most;
  return (rows + turns - 1) / turns;
}

inline constexpr int kMaxRowDims = kMaxRank - 1;

/// Extents of the row dimensions, outermost first, and a tensor's strides of them, in elements. As the
/// kernels have it.
struct RowStrides {
  long long stride[kMaxRowDims];
};

/// Writes the row dimensions of `count` tensors that have those of `shape`, merging those that follow each
/// other without a gap in all of them; tensors without dimensions are not looked at. Returns how many remain;
/// at least 1.
template <int count>
int merge_rows(const Extents& shape, const Extents* const (&tensors)[count], long long (&extent)[kMaxRowDims],
               RowStrides (&strides)[count]) {
  const auto follows = [](long long outer, const Extents& extents, int i) {
    long long block = 0;
    return !__builtin_mul_overflow(extents.shape[i], extents.stride[i], &block) && outer == block;
  };
  int dims = 0;
  for (int i = 0; i + 1 < shape.rank; ++i) {
    if (shape.shape[i] == 1) continue;
    bool merges = dims > 0;
    for (int t = 0; t < count; ++t)
      merges = merges && (tensors[t]->rank == 0 || follows(strides[t].stride[dims - 1], *tensors[t], i));
    if (!merges) extent[dims++] = 1;
    extent[dims - 1] *= shape.shape[i];
    for (int t = 0; t < count; ++t)
      strides[t].stride[dims - 1] = tensors[t]->rank == 0 ? 0 : tensors[t]->stride[i];
  }
  if (dims == 0) extent[dims++] = 1;
  return dims;
}

/// Of tensors of one shape, that of the first one.
template <int count>
int merge_rows(const Extents* const (&tensors)[count], long long (&extent)[kMaxRowDims],
               RowStrides (&strides)[count]) {
  return merge_rows(*tensors[0], tensors, extent, strides);
}

/// A tensor with one value for each row as one whose rows have one element; nothing remains nothing.
inline Extents as_rows(Extents extents) {
  if (extents.rank == 0 || extents.rank == kMaxRank) return extents;
  extents.shape[static_cast<std::size_t>(extents.rank)] = 1;
  extents.stride[static_cast<std::size_t>(extents.rank++)] = 1;
  return extents;
}

/// The shape of rows of `hidden` elements, one for each value of a tensor; strides are not set.
inline Extents rows_of(Extents values, std::int64_t hidden) {
  if (values.rank < kMaxRank) values.shape[static_cast<std::size_t>(values.rank++)] = hidden;
  return values;
}

}  // namespace sprue::ops
