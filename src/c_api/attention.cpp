// The C API's attention.
#include "c_api/convert.h"

using namespace sprue;
using namespace sprue::c_api;

namespace {

/// A limit that does not hold is -1.
std::int64_t window_of(const char* name, std::int64_t limit, int windows, sprue_windows bit) {
  if ((windows & bit) != 0) return limit;
  if (limit == 0) return -1;
  throw ArgumentError(fmt::format("{} must be 0 unless args.window names it, but is {}", name, limit));
}

}  // namespace

Attention sprue::c_api::arguments(const sprue_attention_args* given) {
  const sprue_attention_args args = read("args", given);
  if (args.window < 0 || args.window > (SPRUE_WINDOW_LEFT | SPRUE_WINDOW_RIGHT)) {
    throw ArgumentError(fmt::format(
        "args.window must be a sum of SPRUE_WINDOW_LEFT (1) and SPRUE_WINDOW_RIGHT (2), but is {}",
        args.window));
  }
  return {.out = tensor_of("args.out", args.out),
          .q = tensor_of("args.q", args.q),
          .k = tensor_of("args.k", args.k),
          .v = tensor_of("args.v", args.v),
          .lse = tensor_of("args.lse", args.lse),
          .causal = read_flag("args.causal", args.causal),
          .scale = args.scale == 0 ? NAN : args.scale,
          .window_left = window_of("args.window_left", args.window_left, args.window, SPRUE_WINDOW_LEFT),
          .window_right = window_of("args.window_right", args.window_right, args.window, SPRUE_WINDOW_RIGHT),
          .chunk = args.chunk,
          .softcap = args.softcap,
          .alibi_slopes = tensor_of("args.alibi_slopes", args.alibi_slopes),
          .bias = tensor_of("args.bias", args.bias),
          .sinks = tensor_of("args.sinks", args.sinks),
          .dropout = {args.dropout_probability, args.dropout_seed, args.dropout_offset},
          .probabilities = tensor_of("args.probabilities", args.probabilities),
          .cu_seqlens_q = tensor_of("args.cu_seqlens_q", args.cu_seqlens_q),
          .cu_seqlens_k = tensor_of("args.cu_seqlens_k", args.cu_seqlens_k),
          .seqused_q = tensor_of("args.seqused_q", args.seqused_q),
          .seqused_k = tensor_of("args.seqused_k", args.seqused_k),
          .block_table = tensor_of("args.block_table", args.block_table),
          .empty_lse = args.empty_lse == 0 ? -INFINITY : args.empty_lse,
          .batch_invariant = read_flag("args.batch_invariant", args.batch_invariant),
          .portable = read_flag("args.portable", args.portable)};
}

int sprue_attention(sprue_runtime* runtime, const sprue_attention_args* args, CUstream_st* stream) {
  return guarded([&] { attention(required("runtime", runtime).runtime, arguments(args), stream); });
}

int sprue_prepare_attention(sprue_runtime* runtime, const sprue_attention_args* args) {
  return guarded([&] { prepare(required("runtime", runtime).runtime, arguments(args)); });
}
