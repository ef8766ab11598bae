// Scales of outputs of 8 bits. Included by norm_forward below its Outputs.
#pragma once

struct Scales {
  float inverse[kOutputs];

  __device__ __forceinline__ void divide(Outputs& y) const {
#pragma unroll
    for (int o = 0; o < kOutputs; ++o) scale(y.of[o], inverse[o]);
  }
};

//% if SCALES == 'row'
// Those of a row whose largest absolute values are given; zeros remain zeros. The thread that `writes` them writes them.
__device__ __forceinline__ Scales row_scales(const Params& params, const Row& row, const float (&largest)[kOutputs],
                                             bool writes) {
  constexpr float kMost = kLargest<output>, kTiny = 1e-30f;
  const i64 at[2] = {row.at[kYRowScale], row.at[kY1RowScale]};
  Scales scales;
#pragma unroll
  for (int o = 0; o < kOutputs; ++o) {
    scales.inverse[o] = largest[o] > kTiny ? kMost / largest[o] : 0.0f;
    if (writes && row.has_y) params.y_row_scale[o][at[o]] = largest[o] > kTiny ? largest[o] * (1.0f / kMost) : 0.0f;
  }
  return scales;
}
//% else
__device__ __forceinline__ Scales tensor_scales(const Params& params) {
  Scales scales;
#pragma unroll
  for (int o = 0; o < kOutputs; ++o) scales.inverse[o] = 1.0f / *params.y_scale[o];
  return scales;
}
//% end
