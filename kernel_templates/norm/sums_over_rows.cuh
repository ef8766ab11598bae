// Sums over a block's rows, column by column. Included by norm_backward below its constants.
#pragma once

// A thread's sums of its columns: in registers, or in words of memory that no other thread uses.
struct ColumnSums {
  Values registers[kSumsIn == Sums::registers ? kVecsPerThread : 1];
  float* words;

  // `target` is where the block's sums number `number` are written in the end.
  __device__ __forceinline__ void clear(int number, float* target, int lane) {
    extern __shared__ uint4 shared[];
    words = kSumsIn == Sums::global
                ? target
                : reinterpret_cast<float*>(shared) + number * kVecsPerThread * kVec * kThreadsPerRow;
#pragma unroll(kSumsIn == Sums::registers ? kVecsPerThread : 1)
    for (int i = 0; i < kVecsPerThread; ++i) {
      if (has_vector(lane, i)) set(lane, i, Values{});
    }
  }
  __device__ __forceinline__ float* word(int lane, int i, int e) const {
    return words + (kSumsIn == Sums::shared ? (i * kVec + e) * kThreadsPerRow + static_cast<int>(threadIdx.x)
                                            : column_of(lane, i) + e);
  }
  __device__ __forceinline__ Values get(int lane, int i) const {
    if constexpr (kSumsIn == Sums::registers) {
      return registers[i];
    } else {
      Values values;
#pragma unroll
      for (int e = 0; e < kVec; ++e) values.at[e] = *word(lane, i, e);
      return values;
    }
  }
  __device__ __forceinline__ void set(int lane, int i, const Values& values) {
    if constexpr (kSumsIn == Sums::registers) {
      registers[i] = values;
    } else {
#pragma unroll
      for (int e = 0; e < kVec; ++e) *word(lane, i, e) = values.at[e];
    }
  }
  // Adds a * b.
  __device__ __forceinline__ void add_product(int lane, int i, const Values& a, const Values& b) {
    Values sums = get(lane, i);
#pragma unroll
    for (int e = 0; e < kVec; ++e) sums.at[e] = fmaf(a.at[e], b.at[e], sums.at[e]);
    set(lane, i, sums);
  }
  __device__ __forceinline__ void add_values(int lane, int i, const Values& values) {
    Values sums = get(lane, i);
    add(sums, values);
    set(lane, i, sums);
  }
};

// Writes the sums of a block's rows: row `block` of `target`. By all threads of the block.
__device__ __forceinline__ void write_sums(const ColumnSums& sums, float* target, int block, int lane) {
  if constexpr (kSumsIn == Sums::global) return;  // there they are
  float* const row = target + static_cast<i64>(block) * kHidden;
  if constexpr (kRowsPerBlock == 1) {
#pragma unroll
    for (int i = 0; i < kVecsPerThread; ++i) {
      if (!has_vector(lane, i)) continue;
      constexpr int kStored = kVec < 4 ? kVec : 4;  // 16 bytes at most
      const Values values = sums.get(lane, i);
      Vec<float, kStored> part;
#pragma unroll
      for (int e = 0; e < kVec; ++e) {
        part.at[e % kStored] = values.at[e];
        if ((e + 1) % kStored == 0) store(row + column_of(lane, i) + e + 1 - kStored, part);
      }
    }
  } else {
    __shared__ float groups[kRowsPerBlock][kHidden];
    __syncthreads();
#pragma unroll
    for (int i = 0; i < kVecsPerThread; ++i) {
      if (!has_vector(lane, i)) continue;
      const Values values = sums.get(lane, i);
#pragma unroll
      for (int e = 0; e < kVec; ++e)
        groups[threadIdx.x / kThreadsPerRow][column_of(lane, i) + e] = values.at[e];
    }
    __syncthreads();
    for (int column = threadIdx.x; column < kHidden; column += kThreads) {
      float sum = 0.0f;
#pragma unroll
      for (int group = 0; group < kRowsPerBlock; ++group) sum += groups[group][column];
      row[column] = sum;
    }
  }
}
