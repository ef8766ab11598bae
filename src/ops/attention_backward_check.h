// The checks of attention_backward's arguments, in the caller's words.
#pragma once

#include "ops/attention_check.h"
#include "sprue/ops/attention_backward.h"

namespace sprue {

/// The tensors that every call has beside those of the forward call.
struct AttentionBackwardViews {
  explicit AttentionBackwardViews(const AttentionBackward& args)
      : forward(args.forward),
        dq("dq", args.dq),
        dk("dk", args.dk),
        dv("dv", args.dv),
        dout("dout", args.dout) {}

  AttentionViews forward;
  ops::View dq, dk, dv, dout;
};

/// ArgumentError unless the kernels may run on these arguments.
void check(const AttentionBackward& args, const AttentionLayout& layout, const AttentionBackwardViews& views,
           bool with_data);

}  // namespace sprue
