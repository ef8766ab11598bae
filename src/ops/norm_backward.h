// What rms_norm_backward and layer_norm_backward have in common: the kernels norm_backward and
// column_sums.
#pragma once

#include "sprue/ops/norm.h"

namespace sprue {

/// The members of RmsNormBackward and LayerNormBackward, and which of the two it is.
struct NormBackward {
  const char* op;
  bool centred;
  Tensor dx;
  ConstTensor dy, z, weight;
  Tensor dweight, dbias;
  ConstTensor dresidual_out;
  Tensor dresidual;
  float eps;
  bool zero_centred_weight;
};

template <class Args>
NormBackward norm_backward_of(const char* op, bool centred, const Args& args) {
  return {.op = op,
          .centred = centred,
          .dx = args.dx,
          .dy = args.dy,
          .z = args.z,
          .weight = args.weight,
          .dweight = args.dweight,
          .dbias = args.dbias,
          .dresidual_out = args.dresidual_out,
          .dresidual = args.dresidual,
          .eps = args.eps,
          .zero_centred_weight = args.zero_centred_weight};
}

void norm_backward(Runtime& runtime, const NormBackward& args, Stream stream);
KernelInfo prepare(Runtime& runtime, const NormBackward& args);

}  // namespace sprue
