// Rows that wait in shared memory, and the walk over them. Included below rows/vectors.cuh by kernels where a
// block, or a cluster, works on one row at a time: uses kStages, kWalks, kThreads, kCluster, kVec and kVecsPerThread.
#pragma once

//% include "device/cp_async.cuh"

// This thread's vectors of one tensor's row in place `stage`. A thread copies what it reads itself: it waits
// for its own copies, and nothing is to be synchronised.
template <class T>
struct StagedRow {
  static constexpr int kBytes = kVecsPerThread * kThreads * kVec * sizeof(T);  // of a block's part of a row

  T* vectors;

  // The tensor's kStages rows begin `start` bytes into the block's dynamic shared memory.
  __device__ __forceinline__ StagedRow(int start, int stage) {
    extern __shared__ uint4 shared[];
    char* const row = reinterpret_cast<char*>(shared) + start + stage * kBytes;
    vectors = reinterpret_cast<T*>(row) + threadIdx.x * kVec;
  }
  __device__ __forceinline__ Vec<T, kVec> get(int i) const {
    return load<T, kVec>(vectors + i * kThreads * kVec);
  }
  // Vector i is *src, once this thread has waited; what it is now has been read.
  __device__ __forceinline__ void copy(int i, const T* src) const {
    asm volatile("" ::: "memory");  // no load of it is moved behind the copy
    copy_async<sizeof(T) * kVec>(shared_address(vectors + i * kThreads * kVec), src, true);
  }
};

// The walk of a block, or a cluster, over rows that are as far apart as there are of those; without kWalks it
// ends after the first one. kStages rows are
// here or on their way: `row` is here; next.copy(i) lets the row that comes kStages later take the place of
// its vector i, and is called when that has been read for the last time, for every i at which any row has
// columns. By all threads.
//
// Row(params, number, stage) is row `number`, without columns if there is none. Its copy(i) begins to copy
// vector i.
template <class Row, class Params>
struct StagedRows {
  const Params& params;
  const i64 step = gridDim.x / kCluster;
  i64 number = blockIdx.x / kCluster;
  int stage = 0;
  Row row, next;

  __device__ __forceinline__ explicit StagedRows(const Params& params)
      : params(params), row(params, number, 0), next(params, kWalks ? number + kStages * step : params.rows, 0) {
#pragma unroll 1
    for (int s = 0; s < kStages; ++s) {
      const Row first(params, number + s * step, s);
#pragma unroll 4
      for (int i = 0; i < kVecsPerThread; ++i) first.copy(i);
      commit_copies();
    }
    wait_copies<kStages - 1>();
  }
  __device__ __forceinline__ bool any() const { return number < params.rows; }
  __device__ __forceinline__ void advance() {
    if constexpr (!kWalks) {
      number = params.rows;
      return;
    }
    commit_copies();
    number += step;
    stage = stage + 1 < kStages ? stage + 1 : 0;
    row = Row(params, number, stage);
    next = Row(params, number + kStages * step, stage);
    wait_copies<kStages - 1>();
  }
  // Whether there is one behind `row`, and that one, which is here, too, if there are stages for both.
  __device__ __forceinline__ bool has_following() const { return number + step < params.rows; }
  __device__ __forceinline__ Row following() const {
    static_assert(kStages > 1, "the following row needs a place of its own");
    wait_copies<kStages - 2>();
    return {params, number + step, stage + 1 < kStages ? stage + 1 : 0};
  }
};
