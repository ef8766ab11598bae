#include "ops/attention_arguments.h"

#include <algorithm>
#include <cmath>

namespace sprue {
namespace {

/// Batch, sequence and head; without a batch, sequence and head.
void copy_strides(const Extents& extents, long long (&stride)[3]) {
  const int absent = 4 - extents.rank;
  for (int i = absent; i < 3; ++i) stride[i] = extents.stride[i - absent];
}

/// The reach of a window among `positions` of them; -1 is no limit.
int reach(std::int64_t window, std::int64_t positions) {
  return window < 0 || window >= positions - 1 ? kNoWindow : static_cast<int>(window);
}

void copy_sequences(const Attention& args, const AttentionLayout& layout, AttentionArguments& to) {
  const Extents &q = args.q.extents, &k = args.k.extents;
  to.batch = static_cast<int>(layout.packed_q ? args.cu_seqlens_q.extents.shape[0] - 1 : q.shape[0]);
  to.seqlen_q = static_cast<int>(q.shape[q.rank - 3]);
  to.seqlen_k = static_cast<int>(k.shape[k.rank - 3]);
  to.heads = static_cast<int>(q.shape[q.rank - 2]);
  to.kv_heads = static_cast<int>(k.shape[k.rank - 2]);
  to.cu_seqlens_q = static_cast<const int*>(args.cu_seqlens_q.data);
  to.cu_seqlens_k = static_cast<const int*>(args.cu_seqlens_k.data);
  to.seqused_q = static_cast<const int*>(args.seqused_q.data);
  to.seqused_k = static_cast<const int*>(args.seqused_k.data);
  if (!layout.paged) return;
  const Extents& table = args.block_table.extents;
  to.block_table = static_cast<const int*>(args.block_table.data);
  std::copy_n(table.stride.begin(), 2, to.block_table_stride);
  to.page_size = to.seqlen_k;
  to.seqlen_k = static_cast<int>(table.shape[1] * to.page_size);
}

void copy_limits(const Attention& args, AttentionArguments& to) {
  // A batch-invariant kernel is chosen without a look at the lengths.
  const std::int64_t any = 1 << 30;
  to.window_left = reach(args.window_left, args.batch_invariant ? any : to.seqlen_k);
  to.window_right =
      args.causal ? kNoWindow : reach(args.window_right, args.batch_invariant ? any : to.seqlen_q);
  to.chunk = static_cast<int>(std::min<std::int64_t>(args.chunk, any));
}

void copy_scores(const Attention& args, AttentionArguments& to) {
  const Extents &q = args.q.extents, &bias = args.bias.extents, &slopes = args.alibi_slopes.extents;
  to.scale = std::isnan(args.scale) ? 1 / std::sqrt(static_cast<float>(q.shape[q.rank - 1])) : args.scale;
  to.softcap = args.softcap;
  to.empty_lse = args.empty_lse;
  to.bias = args.bias.data;
  for (int i = 0; i < 3; ++i) to.bias_stride[i] = bias.shape[i] == 1 ? 0 : bias.stride[i];
  to.alibi_slopes = static_cast<const float*>(args.alibi_slopes.data);
  for (int i = 2 - slopes.rank; i < 2; ++i) to.slope_stride[i] = slopes.stride[i - (2 - slopes.rank)];
  to.sinks = static_cast<const float*>(args.sinks.data);
  to.sink_stride = args.sinks.extents.stride[0];
}

void copy_dropout(const Attention& args, AttentionArguments& to) {
  const float kept = 1 - args.dropout.probability;
  to.keep_threshold = static_cast<int>(std::floor(kept * 255.0));
  to.keep_scale = 1 / kept;
  to.dropout_seed = args.dropout.seed;
  to.dropout_offset = args.dropout.offset;
  to.probabilities = args.probabilities.data;
  std::copy_n(args.probabilities.extents.stride.begin(), 3, to.probabilities_stride);
}

}  // namespace

AttentionArguments attention_arguments(const Attention& args, const AttentionLayout& layout) {
  AttentionArguments to{};
  to.q = args.q.data;
  to.k = args.k.data;
  to.v = args.v.data;
  to.out = args.out.data;
  to.lse = static_cast<float*>(args.lse.data);
  copy_strides(args.q.extents, to.q_stride);
  copy_strides(args.k.extents, to.k_stride);
  copy_strides(args.v.extents, to.v_stride);
  copy_strides(args.out.extents, to.out_stride);
  if (args.lse.extents.rank != 0) {
    const int absent = 3 - args.lse.extents.rank;
    for (int i = absent; i < 3; ++i) to.lse_stride[i] = args.lse.extents.stride[i - absent];
  }
  copy_sequences(args, layout, to);
  copy_limits(args, to);
  copy_scores(args, to);
  copy_dropout(args, to);
  return to;
}

}  // namespace sprue
