// The C API's rotary position embedding.
#include "c_api/convert.h"

namespace {

using namespace sprue;
using namespace sprue::c_api;

Rope arguments(const sprue_rope_args* given) {
  const sprue_rope_args args = read("args", given);
  return {.y = tensor_of("args.y", args.y),
          .x = tensor_of("args.x", args.x),
          .cos = tensor_of("args.cos", args.cos),
          .sin = tensor_of("args.sin", args.sin),
          .y_k = tensor_of("args.y_k", args.y_k),
          .x_k = tensor_of("args.x_k", args.x_k),
          .cos_k = tensor_of("args.cos_k", args.cos_k),
          .sin_k = tensor_of("args.sin_k", args.sin_k),
          .interleaved = read_flag("args.interleaved", args.interleaved),
          .conjugate = read_flag("args.conjugate", args.conjugate),
          .offset = args.offset,
          .offsets = tensor_of("args.offsets", args.offsets),
          .cu_seqlens = tensor_of("args.cu_seqlens", args.cu_seqlens),
          .norm_weight = tensor_of("args.norm_weight", args.norm_weight),
          .norm_weight_k = tensor_of("args.norm_weight_k", args.norm_weight_k),
          .norm_eps = args.norm_eps};
}

}  // namespace

int sprue_rope(sprue_runtime* runtime, const sprue_rope_args* args, CUstream_st* stream) {
  return guarded([&] { rope(required("runtime", runtime).runtime, arguments(args), stream); });
}

int sprue_prepare_rope(sprue_runtime* runtime, const sprue_rope_args* args) {
  return guarded([&] { prepare(required("runtime", runtime).runtime, arguments(args)); });
}
