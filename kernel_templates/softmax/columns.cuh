// The columns of rows whose length is known at run time, up to kMostColumns. Included by the kernels of the softmax family
// below their constants; rows/vectors.cuh finds their vectors. Uses kRegisterWords.
#pragma once

constexpr int kHidden = kMostColumns;
constexpr int kWidestBytes = sizeof(scalar);
static_assert((kMostColumns & (kMostColumns - 1)) == 0, "so that any power of two up to it is a vector's length");

//% include "rows/vectors.cuh"

// A row stays in registers, as it is in memory, if a thread's share of it is at most half of the registers that two blocks
// of a multiprocessor leave it, 64 of them at most.
constexpr int kMostWords = kThreads > 256 ? 16384 / kThreads : 64;
constexpr bool kInRegisters = kRegisterWords <= kMostWords && kVecsPerThread <= 32;  // more take long to compile
constexpr int kUnroll = kInRegisters ? kVecsPerThread : 4;

using Vector = Vec<scalar, kVec>;

// How many columns of a row count: with a causal mask, query i of `queries` sees the keys up to i + keys - queries.
__device__ __forceinline__ int visible_columns(int columns, int queries, i64 row) {
  if constexpr (!kCausal) return columns;
  const i64 visible = row % queries + 1 + columns - queries;
  return static_cast<int>(visible < 0 ? 0 : visible);
}

// A thread's place in a row of which `visible` columns count. What is loaded in place of others is to be ignored: a load
// under no condition can be issued together with the next ones.
struct Columns {
  int lane, visible;

  __device__ __forceinline__ bool sees(int i) const { return column_of(lane, i) < visible; }
  __device__ __forceinline__ bool sees(int i, int e) const { return column_of(lane, i) + e < visible; }
  __device__ __forceinline__ int place(int i) const { return sees(i) ? column_of(lane, i) : 0; }
  __device__ __forceinline__ Vector load_one(const scalar* row, int i) const {
    return kInRegisters ? load_streaming<scalar, kVec>(row + place(i)) : load<scalar, kVec>(row + place(i));
  }
};
