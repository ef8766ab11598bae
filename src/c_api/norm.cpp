// The C API's normalisation.
#include "c_api/convert.h"

namespace {

using namespace sprue;
using namespace sprue::c_api;

RmsNorm arguments(const sprue_rms_norm_args* given) {
  const sprue_rms_norm_args args = read("args", given);
  return {.y = tensor_of("args.y", args.y),
          .x = tensor_of("args.x", args.x),
          .weight = tensor_of("args.weight", args.weight),
          .eps = args.eps};
}

}  // namespace

int sprue_rms_norm(sprue_runtime* runtime, const sprue_rms_norm_args* args, CUstream_st* stream) {
  return guarded([&] { rms_norm(required("runtime", runtime).runtime, arguments(args), stream); });
}

int sprue_prepare_rms_norm(sprue_runtime* runtime, const sprue_rms_norm_args* args) {
  return guarded([&] { prepare(required("runtime", runtime).runtime, arguments(args)); });
}
