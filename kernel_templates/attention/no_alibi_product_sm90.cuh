// In place of alibi_product_sm90.cuh where there is no ALiBi, or where it is added to scores one by one:
// because they are capped or scaled first, or because wide heads leave the product's operands no shared
// memory. Included by attention_sm90.
#pragma once

constexpr bool kAlibiProduct = false;
constexpr int kPlaceBytes = 0;

__device__ __forceinline__ void write_places(u32) {}

struct Shift {
  float of_row[2];
};

struct Alibi {
  __device__ __forceinline__ Alibi(const RowScores&, int, int) {}
  __device__ __forceinline__ void multiply(float (&)[kBlockN / 2], u32, int) {}
  __device__ __forceinline__ Shift shift(const RowScores&, int) const { return {}; }
  __device__ __forceinline__ void correct(float (&)[kBlockN / 2], const RowScores&, int) const {}
};
