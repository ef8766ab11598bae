// The checks of attention's arguments, in the caller's words.
#pragma once

#include "ops/check.h"
#include "sprue/ops.h"

namespace sprue {

/// How the sequences lie in memory. "Given" is a tensor with dimensions or data; the checks refuse one
/// without dimensions.
struct AttentionLayout {
  explicit AttentionLayout(const Attention& args)
      : packed_q(ops::given(args.cu_seqlens_q)),
        packed_k(ops::given(args.cu_seqlens_k)),
        paged(ops::given(args.block_table)),
        used_q(ops::given(args.seqused_q)),
        used_k(ops::given(args.seqused_k)) {}

  bool packed_q, packed_k, paged, used_q, used_k;
};

/// The tensors that every call has, and lse.
struct AttentionViews {
  explicit AttentionViews(const Attention& args)
      : out("out", args.out), q("q", args.q), k("k", args.k), v("v", args.v), lse("lse", args.lse) {}

  ops::View out, q, k, v, lse;
};

/// ArgumentError unless a kernel may run on these arguments. What lies on the device, the lengths and the
/// block table, is not looked at.
void check(const Attention& args, const AttentionLayout& layout, const AttentionViews& views, bool with_data);

}  // namespace sprue
