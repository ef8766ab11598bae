// What norm_forward is called with, and where one row of every tensor lies. Included by it below its constants.
// src/ops/norm_forward.cpp has the same struct.
#pragma once

// Tensors with rows, which have strides of their own.
enum RowTensor {
  kY, kX, kResidual, kResidualOut, kMask, kX1, kMask1, kRowScale, kGate, kY1, kYRowScale, kY1RowScale, kXRows, kYRows,
  kRowTensors
};

// A pointer is null where nothing was given.
struct Params {
  output* y[2];
  const scalar* x;
  const residual_scalar* residual;
  residual_scalar* residual_out;
  const weight_scalar *weight[2], *bias[2];
  i64 rows;
  i64 extent[5];
  RowStrides strides[kRowTensors];
  const scalar *x1, *gate;
  const row_scalar* row_scale;
  const column_scalar* column_scale;
  u8 *mask, *mask1;
  float* y_row_scale[2];
  const float* y_scale[2];
  const int *x_rows, *y_rows;
  i64 rows_of_x, rows_of_y;  // of what x_rows and y_rows number
  u32 dropout_keys[14];      // of the seven rounds of Philox
  u64 dropout_offset;
  u32 kept_of_65536;
  float x_factor, x1_factor;
  float eps;
};

struct RowPlace {
  i64 number;
  i64 at[kRowTensors];
  bool has_x = true, has_y = true;
  float x_factor = 1.0f;
};

__device__ __forceinline__ RowPlace place_of(const Params& params, i64 number, bool active) {
  RowPlace row;
  row.number = number;
  row_offsets(row.at, params.extent, params.strides, number);
  //% if X_ROWS
  const i64 x_row = active ? params.x_rows[row.at[kXRows]] : 0;
  row.has_x = x_row >= 1 && x_row <= params.rows_of_x;
  row.at[kX] = (x_row - 1) * params.strides[kX].stride[0];
  row.at[kMask] = (x_row - 1) * params.strides[kMask].stride[0];
  //% end
  //% if Y_ROWS
  const i64 y_row = active ? params.y_rows[row.at[kYRows]] : 0;
  row.has_y = y_row >= 1 && y_row <= params.rows_of_y;
  row.at[kY] = (y_row - 1) * params.strides[kY].stride[0];
  row.at[kY1] = (y_row - 1) * params.strides[kY1].stride[0];
  row.at[kYRowScale] = (y_row - 1) * params.strides[kYRowScale].stride[0];
  row.at[kY1RowScale] = (y_row - 1) * params.strides[kY1RowScale].stride[0];
  //% end
  //% if X_FACTOR
  row.x_factor = params.x_factor;
  //% end
  //% if ROW_SCALE != 'none'
  row.x_factor *= active ? to_f32(params.row_scale[row.at[kRowScale]]) : 0.0f;
  //% end
  return row;
}
