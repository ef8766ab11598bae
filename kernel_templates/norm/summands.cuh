// What is normalised: the sum of x, x1 and the residual, perhaps gated. Included by norm_forward below its Params.
#pragma once

//% if DROPOUT
//% include "norm/dropout.cuh"
//% end
//% if GATE != 'none'
//% include "norm/gate.cuh"
//% end

template <class T>
__device__ __forceinline__ Values read(const T* src) {
  return kInRegisters ? stream_values(src) : load_values(src);
}

__device__ __forceinline__ Values x_summand(const Params& params, const Row& row, int column, bool first) {
  //% if X_ROWS
  if (!row.has_x) return {};
  //% end
  Values x = read(params.x + row.at[kX] + column);
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
__device__ __forceinline__ Values x1_summand(const Params& params, const Row& row, int column, bool first) {
  Values x = read(params.x1 + row.at[kX1] + column);
  //% if DROPOUT
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

__device__ __forceinline__ Values gated(const Params& params, const Row& row, Values z, int column) {
  //% if GATE == 'first'
  multiply(z, silu(read(params.gate + row.at[kGate] + column)));
  //% end
  return z;
}

// `first`: what is written beside the sum is written now.
__device__ __forceinline__ Values norm_input(const Params& params, const Row& row, int column, bool first) {
  Values z = x_summand(params, row, column, first);
  //% if HAS_X1
  add(z, x1_summand(params, row, column, first));
  //% end
  //% if RESIDUAL != 'none' && ADDS_RESIDUAL
  add(z, read(params.residual + row.at[kResidual] + column));
  //% end
  //% if HAS_RESIDUAL_OUT
  if (first) store_values(params.residual_out + row.at[kResidualOut] + column, z);
  //% end
  return gated(params, row, z, column);
}

// The same later: residual_out may have replaced residual.
__device__ __forceinline__ Values norm_input_again(const Params& params, const Row& row, int column) {
  //% if HAS_RESIDUAL_OUT
  return gated(params, row, load_values(params.residual_out + row.at[kResidualOut] + column), column);
  //% else
  return norm_input(params, row, column, false);
  //% end
}
