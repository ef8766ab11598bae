// The columns of rows whose length is known at run time, up to kMostColumns, and where threads have them. Included
// by the kernels of the softmax family below their constants; rows/vectors.cuh finds their vectors. Uses kRegisterWords
// and kStages.
#pragma once

constexpr int kHidden = kMostColumns;
constexpr int kWidestBytes = sizeof(scalar);
static_assert((kMostColumns & (kMostColumns - 1)) == 0, "so that any power of two up to it is a vector's length");

//% include "rows/vectors.cuh"
//% if STAGES > 0
//% include "rows/staged.cuh"
static_assert(kVec * sizeof(scalar) == 16, "rows are copied to shared memory by vectors of 16 bytes");
//% end

// A row waits in shared memory if there are stages. Else it stays in registers, as it is in memory, if a thread's share
// of it is at most half of the registers that two blocks of a multiprocessor leave it, 64 of them at most. Else it is
// read again, then from L2.
constexpr int kMostWords = kThreads > 256 ? 16384 / kThreads : 64;
constexpr bool kInRegisters = kStages == 0 && kRegisterWords <= kMostWords &&
                              kVecsPerThread <= 32;  // more take long to compile
constexpr int kUnroll = kInRegisters ? kVecsPerThread : 4;

// How many columns of a row count: with a causal mask, query i of `queries` sees the keys up to i + keys - queries.
__device__ __forceinline__ int visible_columns(int columns, int queries, i64 row) {
  if constexpr (!kCausal) return columns;
  const i64 visible = row % queries + 1 + columns - queries;
  return static_cast<int>(visible < 0 ? 0 : visible);
}

// A row of `all` columns, of which the first `visible` count, and the vectors of it that a thread has.
struct Columns {
  int visible, all;

  __device__ __forceinline__ bool sees(int i) const { return column_of(row_lane(), i) < visible; }
  __device__ __forceinline__ bool sees(int i, int e) const { return column_of(row_lane(), i) + e < visible; }
  __device__ __forceinline__ bool has(int i) const { return column_of(row_lane(), i) < all; }
  // How many vectors hold `columns` columns, in the thread that has most.
  __device__ __forceinline__ static int vectors(int columns) {
    return kInRegisters ? kVecsPerThread : ceil_div(columns, kLanes * kVec);
  }
};

// Whether there is a row of that number.
template <class Params>
__device__ __forceinline__ bool is_row(const Params& params, i64 number) {
  return (kRowsPerBlock == 1 && kStages == 0) || number < params.rows;
}
// Its columns: none if it is no row.
template <class Params>
__device__ __forceinline__ Columns columns_of(const Params& params, i64 number) {
  if (!is_row(params, number)) return {0, 0};
  return {visible_columns(params.columns, params.queries, number), params.columns};
}

// This thread's vectors of a row of one tensor. What is in place of columns that do not count is to be ignored: a load
// under no condition can be issued together with the next ones.
template <class T>
struct RowPart {
  const T* row;
  //% if STAGES > 0
  StagedRow<T> staged;

  __device__ __forceinline__ void copy(const Columns& columns, int i) const {
    if (columns.sees(i)) staged.copy(i, row + column_of(row_lane(), i));
  }
  __device__ __forceinline__ Vec<T, kVec> get(const Columns&, int i) const { return staged.get(i); }
  //% else
  Vec<T, kVec> kept[kInRegisters ? kVecsPerThread : 1];

  __device__ __forceinline__ const T* at(const Columns& columns, int i) const {
    return row + (columns.sees(i) ? column_of(row_lane(), i) : 0);
  }
  __device__ __forceinline__ void keep(const Columns& columns, int i) {
    kept[i] = load<T, kVec>(at(columns, i));
  }
  __device__ __forceinline__ Vec<T, kVec> get(const Columns& columns, int i) const {
    if constexpr (kInRegisters) return kept[i];
    return load<T, kVec>(at(columns, i));
  }
  //% end
};
