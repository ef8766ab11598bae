// The C API's normalisation.
#include "c_api/convert.h"

namespace {

using namespace sprue;
using namespace sprue::c_api;

/// What both directions are given alike.
template <class Args, class Given>
void read_common(Args& result, const Given& args) {
  result.eps = args.eps;
  result.zero_centred_weight = read_flag("args.zero_centred_weight", args.zero_centred_weight);
  result.weight = tensor_of("args.weight", args.weight);
  result.weight1 = tensor_of("args.weight1", args.weight1);
  result.bias = tensor_of("args.bias", args.bias);
  result.bias1 = tensor_of("args.bias1", args.bias1);
  result.x = tensor_of("args.x", args.x);
  result.row_scale = tensor_of("args.row_scale", args.row_scale);
  result.column_scale = tensor_of("args.column_scale", args.column_scale);
  result.x_scale = args.x_scale == 0 ? 1 : args.x_scale;
  result.dropout = {args.dropout_probability, args.dropout_seed, args.dropout_offset};
  result.dropout_mask = tensor_of("args.dropout_mask", args.dropout_mask);
  result.dropout_mask1 = tensor_of("args.dropout_mask1", args.dropout_mask1);
  result.gate = tensor_of("args.gate", args.gate);
  result.gate_first = read_flag("args.gate_first", args.gate_first);
  result.x_rows = tensor_of("args.x_rows", args.x_rows);
  result.y_rows = tensor_of("args.y_rows", args.y_rows);
}

/// RmsNorm and LayerNorm, and their structs here, have the same members.
template <class Args, class Given>
Args forward(const Given* given) {
  const Given args = read("args", given);
  Args result;
  read_common(result, args);
  result.y = tensor_of("args.y", args.y);
  result.residual = tensor_of("args.residual", args.residual);
  result.residual_out = tensor_of("args.residual_out", args.residual_out);
  result.x1 = tensor_of("args.x1", args.x1);
  result.y1 = tensor_of("args.y1", args.y1);
  result.y_scale = tensor_of("args.y_scale", args.y_scale);
  result.y1_scale = tensor_of("args.y1_scale", args.y1_scale);
  result.y_row_scale = tensor_of("args.y_row_scale", args.y_row_scale);
  result.y1_row_scale = tensor_of("args.y1_row_scale", args.y1_row_scale);
  return result;
}

template <class Args>
Args backward(const sprue_norm_backward_args* given) {
  const sprue_norm_backward_args args = read("args", given);
  Args result;
  read_common(result, args);
  result.dx = tensor_of("args.dx", args.dx);
  result.dx1 = tensor_of("args.dx1", args.dx1);
  result.dy = tensor_of("args.dy", args.dy);
  result.dy1 = tensor_of("args.dy1", args.dy1);
  result.z = tensor_of("args.z", args.z);
  result.dweight = tensor_of("args.dweight", args.dweight);
  result.dweight1 = tensor_of("args.dweight1", args.dweight1);
  result.dbias = tensor_of("args.dbias", args.dbias);
  result.dbias1 = tensor_of("args.dbias1", args.dbias1);
  result.dresidual_out = tensor_of("args.dresidual_out", args.dresidual_out);
  result.dresidual = tensor_of("args.dresidual", args.dresidual);
  result.dcolumn_scale = tensor_of("args.dcolumn_scale", args.dcolumn_scale);
  result.dgate = tensor_of("args.dgate", args.dgate);
  return result;
}

}  // namespace

int sprue_rms_norm(sprue_runtime* runtime, const sprue_rms_norm_args* args, CUstream_st* stream) {
  return guarded([&] { rms_norm(required("runtime", runtime).runtime, forward<RmsNorm>(args), stream); });
}

int sprue_prepare_rms_norm(sprue_runtime* runtime, const sprue_rms_norm_args* args) {
  return guarded([&] { prepare(required("runtime", runtime).runtime, forward<RmsNorm>(args)); });
}

int sprue_layer_norm(sprue_runtime* runtime, const sprue_layer_norm_args* args, CUstream_st* stream) {
  return guarded([&] { layer_norm(required("runtime", runtime).runtime, forward<LayerNorm>(args), stream); });
}

int sprue_prepare_layer_norm(sprue_runtime* runtime, const sprue_layer_norm_args* args) {
  return guarded([&] { prepare(required("runtime", runtime).runtime, forward<LayerNorm>(args)); });
}

int sprue_rms_norm_backward(sprue_runtime* runtime, const sprue_norm_backward_args* args,
                            CUstream_st* stream) {
  return guarded([&] {
    rms_norm_backward(required("runtime", runtime).runtime, backward<RmsNormBackward>(args), stream);
  });
}

int sprue_prepare_rms_norm_backward(sprue_runtime* runtime, const sprue_norm_backward_args* args) {
  return guarded([&] { prepare(required("runtime", runtime).runtime, backward<RmsNormBackward>(args)); });
}

int sprue_layer_norm_backward(sprue_runtime* runtime, const sprue_norm_backward_args* args,
                              CUstream_st* stream) {
  return guarded([&] {
    layer_norm_backward(required("runtime", runtime).runtime, backward<LayerNormBackward>(args), stream);
  });
}

int sprue_prepare_layer_norm_backward(sprue_runtime* runtime, const sprue_norm_backward_args* args) {
  return guarded([&] { prepare(required("runtime", runtime).runtime, backward<LayerNormBackward>(args)); });
}
