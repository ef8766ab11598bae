// What rms_norm and layer_norm have in common: the kernel norm_forward.
#pragma once

#include "sprue/ops/norm.h"

namespace sprue {

/// The members of RmsNorm and LayerNorm, and which of the two it is.
struct NormForward {
  const char* op;
  bool centred;
  Tensor y;
  ConstTensor x, weight, bias, residual;
  Tensor residual_out;
  float eps;
  bool zero_centred_weight;
};

template <class Args>
NormForward norm_forward_of(const char* op, bool centred, const Args& args) {
  return {.op = op,
          .centred = centred,
          .y = args.y,
          .x = args.x,
          .weight = args.weight,
          .bias = args.bias,
          .residual = args.residual,
          .residual_out = args.residual_out,
          .eps = args.eps,
          .zero_centred_weight = args.zero_centred_weight};
}

void norm_forward(Runtime& runtime, const NormForward& args, Stream stream);
KernelInfo prepare(Runtime& runtime, const NormForward& args);

}  // namespace sprue
