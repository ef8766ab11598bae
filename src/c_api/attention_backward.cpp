// The C API's gradients of attention.
#include "c_api/convert.h"

namespace {

using namespace sprue;
using namespace sprue::c_api;

AttentionBackward arguments(const sprue_attention_backward_args* given) {
  const sprue_attention_backward_args args = read("args", given);
  return {.dq = tensor_of("args.dq", args.dq),
          .dk = tensor_of("args.dk", args.dk),
          .dv = tensor_of("args.dv", args.dv),
          .dout = tensor_of("args.dout", args.dout),
          .forward = c_api::arguments(&required("args.forward", args.forward)),
          .dbias = tensor_of("args.dbias", args.dbias),
          .dslopes = tensor_of("args.dslopes", args.dslopes),
          .dsinks = tensor_of("args.dsinks", args.dsinks),
          .deterministic = read_flag("args.deterministic", args.deterministic),
          .workspace = args.workspace,
          .workspace_bytes = args.workspace_bytes};
}

}  // namespace

int sprue_attention_backward(sprue_runtime* runtime, const sprue_attention_backward_args* args,
                             CUstream_st* stream) {
  return guarded([&] { attention_backward(required("runtime", runtime).runtime, arguments(args), stream); });
}

int sprue_prepare_attention_backward(sprue_runtime* runtime, const sprue_attention_backward_args* args) {
  return guarded([&] { prepare(required("runtime", runtime).runtime, arguments(args)); });
}

int sprue_attention_backward_workspace_bytes(sprue_runtime* runtime,
                                             const sprue_attention_backward_args* args, size_t* bytes) {
  return guarded([&] {
    required("bytes", bytes) =
        attention_backward_workspace_bytes(required("runtime", runtime).runtime, arguments(args));
  });
}
