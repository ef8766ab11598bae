// The C API's activation functions.
#include "c_api/convert.h"

namespace {

using namespace sprue;
using namespace sprue::c_api;

static_assert(SPRUE_IDENTITY == static_cast<int>(ActivationFunction::identity) &&
              SPRUE_RELU == static_cast<int>(ActivationFunction::relu) &&
              SPRUE_SQUARED_RELU == static_cast<int>(ActivationFunction::squared_relu) &&
              SPRUE_LEAKY_RELU == static_cast<int>(ActivationFunction::leaky_relu) &&
              SPRUE_SIGMOID == static_cast<int>(ActivationFunction::sigmoid) &&
              SPRUE_SILU == static_cast<int>(ActivationFunction::silu) &&
              SPRUE_GELU == static_cast<int>(ActivationFunction::gelu) &&
              SPRUE_GELU_TANH == static_cast<int>(ActivationFunction::gelu_tanh));

ActivationFunction function_of(int given) {
  if (given >= SPRUE_IDENTITY && given <= SPRUE_GELU_TANH) return static_cast<ActivationFunction>(given);
  throw ArgumentError(
      fmt::format("args.function must be a sprue_activation_function, 0 to 7, but is {}", given));
}

Activation forward(const sprue_activation_args* given) {
  const sprue_activation_args args = read("args", given);
  return {.y = tensor_of("args.y", args.y),
          .x = tensor_of("args.x", args.x),
          .function = function_of(args.function),
          .gate = tensor_of("args.gate", args.gate),
          .bias = tensor_of("args.bias", args.bias),
          .gate_bias = tensor_of("args.gate_bias", args.gate_bias),
          .negative_slope = args.negative_slope};
}

ActivationBackward backward(const sprue_activation_backward_args* given) {
  const sprue_activation_backward_args args = read("args", given);
  return {.dx = tensor_of("args.dx", args.dx),
          .dy = tensor_of("args.dy", args.dy),
          .x = tensor_of("args.x", args.x),
          .function = function_of(args.function),
          .dgate = tensor_of("args.dgate", args.dgate),
          .gate = tensor_of("args.gate", args.gate),
          .bias = tensor_of("args.bias", args.bias),
          .gate_bias = tensor_of("args.gate_bias", args.gate_bias),
          .dbias = tensor_of("args.dbias", args.dbias),
          .dgate_bias = tensor_of("args.dgate_bias", args.dgate_bias),
          .negative_slope = args.negative_slope};
}

}  // namespace

int sprue_activation(sprue_runtime* runtime, const sprue_activation_args* args, CUstream_st* stream) {
  return guarded([&] { activation(required("runtime", runtime).runtime, forward(args), stream); });
}

int sprue_prepare_activation(sprue_runtime* runtime, const sprue_activation_args* args) {
  return guarded([&] { prepare(required("runtime", runtime).runtime, forward(args)); });
}

int sprue_activation_backward(sprue_runtime* runtime, const sprue_activation_backward_args* args,
                              CUstream_st* stream) {
  return guarded([&] { activation_backward(required("runtime", runtime).runtime, backward(args), stream); });
}

int sprue_prepare_activation_backward(sprue_runtime* runtime, const sprue_activation_backward_args* args) {
  return guarded([&] { prepare(required("runtime", runtime).runtime, backward(args)); });
}
