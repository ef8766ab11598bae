// The columns of rows whose length is known at run time, up to kMostColumns. Included by the kernels of the
// softmax family below their constants; norm/row_vectors.cuh finds their vectors.
#pragma once

constexpr int kHidden = kMostColumns;
constexpr int kWidestBytes = sizeof(scalar);
static_assert((kMostColumns & (kMostColumns - 1)) == 0,
              "so that any power of two up to it is a vector's length");

//% include "norm/row_vectors.cuh"

constexpr int kMaxRegisterValues = kThreads > 384 ? 24576 / kThreads : 64;
constexpr bool kInRegisters = kVecsPerThread * kVec <= kMaxRegisterValues;
constexpr int kUnroll = kInRegisters ? kVecsPerThread : 4;

// How many columns of a row count: with a causal mask, query i of `queries` sees the keys up to i + keys -
// queries.
__device__ __forceinline__ int visible_columns(int columns, int queries, i64 row) {
  if constexpr (!kCausal) return columns;
  const i64 visible = row % queries + 1 + columns - queries;
  return static_cast<int>(visible < 0 ? 0 : visible);
}
