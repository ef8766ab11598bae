#include "ops/attention_arguments.h"

#include <algorithm>
#include <cmath>

#include "ops/philox.h"

namespace sprue {
namespace {

/// 0 where the bias is the same for all.
AttentionArguments::Strides bias_strides(const Extents& bias) {
  const auto stride = [&](std::size_t i) -> long long { return bias.shape[i] == 1 ? 0 : bias.stride[i]; };
  return {stride(0), stride(1), stride(2)};
}

const int* indices(const ConstTensor& tensor) {
  return static_cast<const int*>(tensor.data);
}

/// The reach of a window among `positions` of them; -1 is no limit.
int reach(std::int64_t window, std::int64_t positions) {
  return window < 0 || window >= positions - 1 ? kNoWindow : static_cast<int>(window);
}

}  // namespace

AttentionArguments attention_arguments(const Attention& args, const AttentionLayout& layout) {
  constexpr std::int64_t kAnyLength = 1 << 30;
  const Extents &q = args.q.extents, &k = args.k.extents, &table = args.block_table.extents;
  const std::int64_t seqlen_q = q.shape[q.rank - 3], page_size = k.shape[k.rank - 3];
  const std::int64_t seqlen_k = layout.paged ? table.shape[1] * page_size : page_size;
  const std::int64_t batch = layout.packed_q ? args.cu_seqlens_q.extents.shape[0] - 1 : q.shape[0];
  const bool drops = args.dropout.probability != 0;
  const float kept = 1 - args.dropout.probability;
  const float scale =
      std::isnan(args.scale) ? 1 / std::sqrt(static_cast<float>(q.shape[q.rank - 1])) : args.scale;
  // Every member is named: filling the struct with zeros first would take as long as all else here.
  return {
      .q = args.q.data,
      .k = args.k.data,
      .v = args.v.data,
      .out = args.out.data,
      .lse = static_cast<float*>(args.lse.data),
      .q_stride = outer_strides<3>(q, 4),
      .k_stride = outer_strides<3>(k, 4),
      .v_stride = outer_strides<3>(args.v.extents, 4),
      .out_stride = outer_strides<3>(args.out.extents, 4),
      .lse_stride = outer_strides<3>(args.lse.extents, 3),
      .cu_seqlens_q = indices(args.cu_seqlens_q),
      .cu_seqlens_k = indices(args.cu_seqlens_k),
      .seqused_q = indices(args.seqused_q),
      .seqused_k = indices(args.seqused_k),
      .block_table = indices(args.block_table),
      .block_table_stride = {table.stride[0], table.stride[1]},
      .bias = args.bias.data,
      .bias_stride = bias_strides(args.bias.extents),
      .alibi_slopes = static_cast<const float*>(args.alibi_slopes.data),
      .sinks = static_cast<const float*>(args.sinks.data),
      .slope_stride = outer_strides<2>(args.alibi_slopes.extents, 2),
      .sink_stride = args.sinks.extents.stride[0],
      .probabilities = args.probabilities.data,
      .probabilities_stride = outer_strides<3>(args.probabilities.extents, 4),
      .dropout_keys = drops ? ops::round_keys(args.dropout.seed) : ops::RoundKeys{},
      .dropout_offset = args.dropout.offset,
      .batch = static_cast<int>(batch),
      .heads = static_cast<int>(q.shape[q.rank - 2]),
      .kv_heads = static_cast<int>(k.shape[k.rank - 2]),
      .seqlen_q = static_cast<int>(seqlen_q),
      .seqlen_k = static_cast<int>(seqlen_k),
      .page_size = layout.paged ? static_cast<int>(page_size) : 0,
      // A batch-invariant kernel is chosen without a look at the lengths.
      .window_left = reach(args.window_left, args.batch_invariant ? kAnyLength : seqlen_k),
      .window_right =
          args.causal ? kNoWindow : reach(args.window_right, args.batch_invariant ? kAnyLength : seqlen_q),
      .chunk = static_cast<int>(std::min(args.chunk, kAnyLength)),
      .keep_threshold = drops ? static_cast<int>(std::floor(kept * 255.0)) : 255,
      .keep_scale = drops ? 1 / kept : 1.0f,
      .scale = scale,
      .softcap = args.softcap,
      .empty_lse = args.empty_lse,
      .capping = args.softcap == 0 ? 0 : scale / args.softcap,
      .row_blocks = 0,
  };
}

}  // namespace sprue
