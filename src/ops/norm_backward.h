// What rms_norm_backward and layer_norm_backward have in common: the kernels norm_backward and
// column_sums.
#pragma once

#include "sprue/ops/norm.h"

namespace sprue {

/// The members of RmsNormBackward and LayerNormBackward, and which of the two it is.
struct NormBackward {
  const char* op;
  bool centred;
  Tensor dx, dx1;
  ConstTensor dy, dy1, z, weight, weight1, bias, bias1;
  Tensor dweight, dweight1, dbias, dbias1;
  ConstTensor dresidual_out;
  Tensor dresidual;
  float eps;
  bool zero_centred_weight;
  ConstTensor x, row_scale, column_scale;
  Tensor dcolumn_scale;
  float x_scale;
  Dropout dropout;
  ConstTensor dropout_mask, dropout_mask1, gate;
  bool gate_first;
  Tensor dgate;
  ConstTensor x_rows, y_rows;
};

template <class Args>
NormBackward norm_backward_of(const char* op, bool centred, const Args& args) {
  return {.op = op,
          .centred = centred,
          .dx = args.dx,
          .dx1 = args.dx1,
          .dy = args.dy,
          .dy1 = args.dy1,
          .z = args.z,
          .weight = args.weight,
          .weight1 = args.weight1,
          .bias = args.bias,
          .bias1 = args.bias1,
          .dweight = args.dweight,
          .dweight1 = args.dweight1,
          .dbias = args.dbias,
          .dbias1 = args.dbias1,
          .dresidual_out = args.dresidual_out,
          .dresidual = args.dresidual,
          .eps = args.eps,
          .zero_centred_weight = args.zero_centred_weight,
          .x = args.x,
          .row_scale = args.row_scale,
          .column_scale = args.column_scale,
          .dcolumn_scale = args.dcolumn_scale,
          .x_scale = args.x_scale,
          .dropout = args.dropout,
          .dropout_mask = args.dropout_mask,
          .dropout_mask1 = args.dropout_mask1,
          .gate = args.gate,
          .gate_first = args.gate_first,
          .dgate = args.dgate,
          .x_rows = args.x_rows,
          .y_rows = args.y_rows};
}

void norm_backward(Runtime& runtime, const NormBackward& args, Stream stream);
KernelInfo prepare(Runtime& runtime, const NormBackward& args);

}  // namespace sprue
