// layer_norm and layer_norm_backward: the centred norms.
#include "ops/norm_backward.h"
#include "ops/norm_forward.h"

namespace sprue {

void layer_norm(Runtime& runtime, const LayerNorm& args, Stream stream) {
  norm_forward(runtime, norm_forward_of("layer_norm", true, args), stream);
}

KernelInfo prepare(Runtime& runtime, const LayerNorm& args) {
  return prepare(runtime, norm_forward_of("layer_norm", true, args));
}

void layer_norm_backward(Runtime& runtime, const LayerNormBackward& args, Stream stream) {
  norm_backward(runtime, norm_backward_of("layer_norm_backward", true, args), stream);
}

KernelInfo prepare(Runtime& runtime, const LayerNormBackward& args) {
  return prepare(runtime, norm_backward_of("layer_norm_backward", true, args));
}

}  // namespace sprue
