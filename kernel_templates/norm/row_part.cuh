// Where a thread reads its vectors of rows: from shared memory if there are stages, else from memory. Included by
// kernels of the norm family below rows/vectors.cuh: uses kStages.
#pragma once

//% if STAGES > 0
//% include "rows/staged.cuh"
static_assert(kVec * kWidestBytes == 16, "rows are copied to shared memory by vectors of 16 bytes");
//% end

// A row of one tensor.
template <class T>
struct RowPart {
  const T* row;
  int place;  // in shared memory

  // The tensor's stages begin at `start`, and those of the next one behind them.
  __device__ __forceinline__ void find(const T* where, int& start, int stage) {
    constexpr int kRowBytes = kVecsPerThread * kThreads * kVec * sizeof(T);
    row = where;
    place = start + stage * kRowBytes;
    start += kStages * kRowBytes;
  }
  __device__ __forceinline__ Vec<T, kVec> read(int lane, int i) const {
    //% if STAGES > 0
    return StagedRow<T>(place, 0).get(i);
    //% else
    return load<T, kVec>(row + column_of(lane, i));
    //% end
  }
  //% if STAGES > 0
  __device__ __forceinline__ void copy(int lane, int i) const {
    StagedRow<T>(place, 0).copy(i, row + column_of(lane, i));
  }
  //% end
};
