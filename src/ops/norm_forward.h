// What rms_norm and layer_norm have in common: the kernel norm_forward.
#pragma once

#include "sprue/ops/norm.h"

namespace sprue {

/// The members of RmsNorm and LayerNorm, and which of the two it is.
struct NormForward {
  const char* op;
  bool centred;
  Tensor y, y1;
  ConstTensor x, x1, weight, weight1, bias, bias1, residual;
  Tensor residual_out;
  float eps;
  bool zero_centred_weight;
  ConstTensor row_scale, column_scale;
  float x_scale;
  Dropout dropout;
  Tensor dropout_mask, dropout_mask1;
  ConstTensor gate;
  bool gate_first;
  ConstTensor y_scale, y1_scale;
  Tensor y_row_scale, y1_row_scale;
  ConstTensor x_rows, y_rows;
};

template <class Args>
NormForward norm_forward_of(const char* op, bool centred, const Args& args) {
  return {.op = op,
          .centred = centred,
          .y = args.y,
          .y1 = args.y1,
          .x = args.x,
          .x1 = args.x1,
          .weight = args.weight,
          .weight1 = args.weight1,
          .bias = args.bias,
          .bias1 = args.bias1,
          .residual = args.residual,
          .residual_out = args.residual_out,
          .eps = args.eps,
          .zero_centred_weight = args.zero_centred_weight,
          .row_scale = args.row_scale,
          .column_scale = args.column_scale,
          .x_scale = args.x_scale,
          .dropout = args.dropout,
          .dropout_mask = args.dropout_mask,
          .dropout_mask1 = args.dropout_mask1,
          .gate = args.gate,
          .gate_first = args.gate_first,
          .y_scale = args.y_scale,
          .y1_scale = args.y1_scale,
          .y_row_scale = args.y_row_scale,
          .y1_row_scale = args.y1_row_scale,
          .x_rows = args.x_rows,
          .y_rows = args.y_rows};
}

void norm_forward(Runtime& runtime, const NormForward& args, Stream stream);
KernelInfo prepare(Runtime& runtime, const NormForward& args);

}  // namespace sprue
