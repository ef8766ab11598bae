// The C API's softmax.
#include "c_api/convert.h"

namespace {

using namespace sprue;
using namespace sprue::c_api;

Softmax forward(const sprue_softmax_args* given) {
  const sprue_softmax_args args = read("args", given);
  return {.y = tensor_of("args.y", args.y),
          .x = tensor_of("args.x", args.x),
          .scale = args.scale,
          .mask = tensor_of("args.mask", args.mask),
          .causal = read_flag("args.causal", args.causal)};
}

SoftmaxBackward backward(const sprue_softmax_backward_args* given) {
  const sprue_softmax_backward_args args = read("args", given);
  return {.dx = tensor_of("args.dx", args.dx),
          .dy = tensor_of("args.dy", args.dy),
          .y = tensor_of("args.y", args.y),
          .scale = args.scale,
          .causal = read_flag("args.causal", args.causal)};
}

}  // namespace

int sprue_softmax(sprue_runtime* runtime, const sprue_softmax_args* args, CUstream_st* stream) {
  return guarded([&] { softmax(required("runtime", runtime).runtime, forward(args), stream); });
}

int sprue_prepare_softmax(sprue_runtime* runtime, const sprue_softmax_args* args) {
  return guarded([&] { prepare(required("runtime", runtime).runtime, forward(args)); });
}

int sprue_softmax_backward(sprue_runtime* runtime, const sprue_softmax_backward_args* args,
                           CUstream_st* stream) {
  return guarded([&] { softmax_backward(required("runtime", runtime).runtime, backward(args), stream); });
}

int sprue_prepare_softmax_backward(sprue_runtime* runtime, const sprue_softmax_backward_args* args) {
  return guarded([&] { prepare(required("runtime", runtime).runtime, backward(args)); });
}
