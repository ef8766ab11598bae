// The C API's normalisation.
#include "c_api/convert.h"

namespace {

using namespace sprue;
using namespace sprue::c_api;

/// RmsNorm and LayerNorm, and their structs here, have the same members.
template <class Args, class Given>
Args forward(const Given* given) {
  const Given args = read("args", given);
  Args result;
  result.y = tensor_of("args.y", args.y);
  result.x = tensor_of("args.x", args.x);
  result.weight = tensor_of("args.weight", args.weight);
  result.eps = args.eps;
  result.bias = tensor_of("args.bias", args.bias);
  result.residual = tensor_of("args.residual", args.residual);
  result.residual_out = tensor_of("args.residual_out", args.residual_out);
  result.zero_centred_weight = read_flag("args.zero_centred_weight", args.zero_centred_weight);
  return result;
}

template <class Args>
Args backward(const sprue_norm_backward_args* given) {
  const sprue_norm_backward_args args = read("args", given);
  Args result;
  result.dx = tensor_of("args.dx", args.dx);
  result.dy = tensor_of("args.dy", args.dy);
  result.z = tensor_of("args.z", args.z);
  result.weight = tensor_of("args.weight", args.weight);
  result.dweight = tensor_of("args.dweight", args.dweight);
  result.dbias = tensor_of("args.dbias", args.dbias);
  result.dresidual_out = tensor_of("args.dresidual_out", args.dresidual_out);
  result.dresidual = tensor_of("args.dresidual", args.dresidual);
  result.eps = args.eps;
  result.zero_centred_weight = read_flag("args.zero_centred_weight", args.zero_centred_weight);
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
