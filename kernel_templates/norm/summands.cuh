// What is normalised: the sum of x, x1 and the residual, perhaps gated. Included by norm_forward below its Params.
#pragma once

//% if DROPOUT
//% include "norm/dropout.cuh"
//% end
//% if GATE != 'none'
//% include "norm/gate.cuh"
//% end

__device__ __forceinline__ Values x_summand(const Params& params, const Row& row, int i, bool first) {
  const int column = column_of(row.lane, i);
  //% if X_ROWS
  if (!row.has_x) return {};
  //% end
  Values x = widen(row.x.read(row.lane, i));
  //% if X_FACTOR || ROW_SCALE != 'none'
  scale(x, row.x_factor);
  //% end
  //% if COLUMN_SCALE != 'none'
  multiply(x, load_values(params.column_scale + column));
  //% end
  //% if DROPOUT
  const u32 kept = draw_kept(params, row.number, column, 0);
  drop(x, kept);
  //% if HAS_MASK
  if (first) store_mask(params.mask + row.at[kMask] + column, kept);
  //% end
  //% end
  return x;
}

//% if HAS_X1
__device__ __forceinline__ Values x1_summand(const Params& params, const Row& row, int i, bool first) {
  Values x = widen(row.x1.read(row.lane, i));
  //% if DROPOUT
  const int column = column_of(row.lane, i);
  scale(x, params.x1_factor);
  const u32 kept = draw_kept(params, row.number, column, 1);
  drop(x, kept);
  //% if HAS_MASK
  if (first) store_mask(params.mask1 + row.at[kMask1] + column, kept);
  //% end
  //% end
  return x;
}
//% end

__device__ __forceinline__ Values gated(const Row& row, Values z, int i) {
  //% if GATE == 'first'
  multiply(z, silu(widen(row.gate.read(row.lane, i))));
  //% end
  return z;
}

// `first`: what is written beside the sum is written now.
__device__ __forceinline__ Values norm_input(const Params& params, const Row& row, int i, bool first) {
  Values z = x_summand(params, row, i, first);
  //% if HAS_X1
  add(z, x1_summand(params, row, i, first));
  //% end
  //% if RESIDUAL != 'none' && ADDS_RESIDUAL
  add(z, widen(row.residual.read(row.lane, i)));
  //% end
  //% if HAS_RESIDUAL_OUT
  if (first) store_values(params.residual_out + row.at[kResidualOut] + column_of(row.lane, i), z);
  //% end
  return gated(row, z, i);
}

// The same later: residual_out may have replaced residual in memory.
__device__ __forceinline__ Values norm_input_again(const Params& params, const Row& row, int i) {
  //% if HAS_RESIDUAL_OUT && STAGES == 0
  return gated(row, load_values(params.residual_out + row.at[kResidualOut] + column_of(row.lane, i)), i);
  //% else
  return norm_input(params, row, i, false);
  //% end
}
