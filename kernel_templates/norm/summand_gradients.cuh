// The gradients of what z is the sum of. Included by norm_backward below its Params.
#pragma once

//% if DROPOUT
//% include "norm/dropout.cuh"
//% end

//% if GATE == 'last'
// The template parameter stands for weight_scalar.
template <class Weight>
__device__ __forceinline__ void add_bias(Values& u, const Weight* bias) {
  if constexpr (is_given<Weight>) add(u, load_values(bias));
}
//% end

//% if GATE != 'none'
// Writes dgate; makes dt, which is given as `dz`, dz where the gate comes first.
__device__ __forceinline__ void pass_gate(const Params& params, const Row& row, const RowVector& v, const Values& n,
                                          Values& dz, int i) {
  const int column = column_of(row.lane, i);
  const Values gate = row.gate.get(row.lane, i);
  //% if GATE == 'first'
  Values dgate = dz;
  multiply(dgate, v.z);
  multiply(dz, silu(gate));
  //% else
  Values dgate{};
#pragma unroll
  for (int o = 0; o < kOutputs; ++o) {
    Values u = n;
    if constexpr (kHasWeight) multiply(u, weight_of(params.weight[o], column));
    if constexpr (kHasBias) add_bias(u, params.bias[o] + column);
    multiply(u, row.dy_of(o, i));
    add(dgate, u);
  }
  //% end
  multiply(dgate, silu_slope(gate));
  store_values(params.dgate + row.at[kDgate] + column, dgate);
}
//% end

// Writes dx, and adds to the sums of dcolumn_scale, the last ones of `sums`.
__device__ __forceinline__ void pass_x(const Params& params, const Row& row, Values dz, ColumnSums* sums, int i) {
  const int column = column_of(row.lane, i);
  //% if X_ROWS
  if (!row.has_x) return;
  //% end
  //% if X_FACTOR || ROW_SCALE != 'none'
  scale(dz, row.x_factor);
  //% end
  //% if HAS_DCOLUMN_SCALE
  Values product = load_values(params.x + row.at[kX] + column);
  multiply(product, dz);
  //% end
  //% if DROPOUT
  //% if HAS_MASK
  const u32 kept = load_mask(params.mask + row.at[kMask] + column);
  //% else
  const u32 kept = draw_kept(params, row.number, column, 0);
  //% end
  drop(dz, kept);
  //% if HAS_DCOLUMN_SCALE
  drop(product, kept);
  //% end
  //% end
  //% if HAS_DCOLUMN_SCALE
  sums[kSumCount - 1].add_values(row.lane, i, product);
  //% end
  //% if COLUMN_SCALE != 'none'
  multiply(dz, load_values(params.column_scale + column));
  //% end
  store_values(params.dx + row.at[kDx] + column, dz);
}

//% if HAS_DX1
__device__ __forceinline__ void pass_x1(const Params& params, const Row& row, Values dz, int column) {
  //% if DROPOUT
  scale(dz, params.x1_factor);
  //% if HAS_MASK
  drop(dz, load_mask(params.mask1 + row.at[kMask1] + column));
  //% else
  drop(dz, draw_kept(params, row.number, column, 1));
  //% end
  //% end
  store_values(params.dx1 + row.at[kDx1] + column, dz);
}
//% end
