#include "ops/attention_backward_arguments.h"

namespace sprue {

AttentionBackwardArguments attention_backward_arguments(const AttentionBackward& args,
                                                        const AttentionLayout& layout) {
  const Extents& bias = args.forward.bias.extents;
  AttentionBackwardArguments arguments{
      .forward = attention_arguments(args.forward, layout),
      .dout = args.dout.data,
      .dq = args.dq.data,
      .dk = args.dk.data,
      .dv = args.dv.data,
      .dout_stride = outer_strides<3>(args.dout.extents, 4),
      .dq_stride = outer_strides<3>(args.dq.extents, 4),
      .dk_stride = outer_strides<3>(args.dk.extents, 4),
      .dv_stride = outer_strides<3>(args.dv.extents, 4),
      .dbias = args.dbias.data,
      .dbias_stride = outer_strides<3>(args.dbias.extents, 4),
      .dslopes = static_cast<float*>(args.dslopes.data),
      .dsinks = static_cast<float*>(args.dsinks.data),
      .dslope_stride = outer_strides<2>(args.dslopes.extents, 2),
      .dsink_stride = args.dsinks.extents.stride[0],
      .stats = nullptr,
      .slope_rows = nullptr,
      .row_stride = {},
      .dq_sums = nullptr,
      .dq_marks = nullptr,
      .dbias_marks = nullptr,
      .dq_chunks = 0,
      .key_blocks = 0,
      .bias_batch = static_cast<int>(bias.shape[0]),
      .bias_heads = static_cast<int>(bias.shape[1]),
      .bias_q = static_cast<int>(bias.shape[2]),
      .bias_k = static_cast<int>(bias.shape[3]),
  };
  const long long seqlen = arguments.forward.seqlen_q, heads = arguments.forward.heads;
  arguments.row_stride = {layout.packed_q ? 0 : heads * seqlen, seqlen, 1};
  return arguments;
}

std::int64_t count_rows(const AttentionBackwardArguments& arguments, const AttentionLayout& layout) {
  const AttentionArguments& forward = arguments.forward;
  return (layout.packed_q ? 1 : std::int64_t{forward.batch}) * forward.seqlen_q * forward.heads;
}

}  // namespace sprue
