// The columns of a thread: one vector of a row, in kRowsAtOnce rows at a time. Included by both kernels of the family below
// their constants.
#pragma once

constexpr int kThreads = kThreadsPerRow * kRowsPerBlock;
constexpr bool kHasBias = is_given<bias_scalar>;
constexpr int kHidden = kMostColumns, kCluster = 1;  // as rows/vectors.cuh calls them
constexpr int kWidestBytes = kHasBias && sizeof(bias_scalar) > sizeof(scalar) ? sizeof(bias_scalar) : sizeof(scalar);

//% include "rows/vectors.cuh"

using Vector = Vec<scalar, kVec>;
constexpr int kStep = kRowsPerBlock * kRowsAtOnce;  // rows of a block's round

// The template parameter stands for bias_scalar.
template <class Bias>
__device__ __forceinline__ Values bias_of(const Bias* bias, i64 column) {
  Values values{};
  if constexpr (is_given<Bias>) {
    if (bias != nullptr) values = load_values(bias + column);
  }
  return values;
}
