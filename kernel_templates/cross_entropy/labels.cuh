// Labels, and what a loss is made of. Included by the kernels of the cross_entropy family
// below their constants: uses kLabelBytes and kRowDims.
#pragma once

template <int kBytes>
struct LabelOf {
  using type = int;
};
template <>
struct LabelOf<8> {
  using type = i64;
};
using label_scalar = LabelOf<kLabelBytes>::type;

//% include "rows/offsets.cuh"

// What all kernels of a loss agree on.
struct LossTerms {
  i64 ignore_index;
  i64 total_classes;  // of all ranks
  float logit_scale, softcap, smoothing, lse_square_scale;
};

struct Label {
  i64 value;
  bool ignored;
  bool bad;  // no class, and not the ignored one either
};
__device__ __forceinline__ Label label_of(i64 value, i64 ignore_index, i64 total_classes) {
  const bool ignored = value == ignore_index;
  return {value, ignored, !ignored && (value < 0 || value >= total_classes)};
}

// The label's column where the first one is of class class_start; -1 if none of `classes` columns is.
__device__ __forceinline__ int column_of(const Label& label, i64 class_start, int classes) {
  const i64 column = label.value - class_start;
  return label.bad || column < 0 || column >= classes ? -1 : static_cast<int>(column);
}

__device__ __forceinline__ float not_a_number() {
  return __int_as_float(0x7fffffff);
}
