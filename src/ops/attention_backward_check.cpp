#include "ops/attention_backward_check.h"

#include <string_view>

namespace sprue {
namespace {

constexpr char kOp[] = "attention_backward";

/// What attention() itself would refuse.
void check_forward(const AttentionBackward& args, const AttentionLayout& layout, const AttentionViews& views,
                   bool with_data) {
  try {
    check(args.forward, layout, views, with_data);
  } catch (const ArgumentError& error) {
    constexpr std::string_view kForwardOp = "[attention] ";
    ops::refuse(kOp, "forward: {}", std::string_view(error.what()).substr(kForwardOp.size()));
  }
  SPRUE_CHECK(
      kOp, !layout.paged,
      "forward.block_table must not be given: keys and values of a backward pass are not paged, but {} "
      "pages are given",
      views.k.extent(0));
  const std::int64_t channels = views.v.extent(views.v.extents.rank - 1);
  SPRUE_CHECK(kOp, channels <= 256,
              "the last extent of v must be a multiple of 8 from 8 to 256 in a backward pass, but is {}",
              channels);
  SPRUE_CHECK(kOp, views.lse.given(), "forward.lse must be what the forward call wrote, but is not given");
}

/// A gradient, or a tensor like `of`.
void check_like(const ops::View& view, const ops::View& of, const ops::ViewRules& rules) {
  SPRUE_CHECK(kOp, ops::same_shape(view.extents, of.extents), "{} must have the shape of {}, {}, but has {}",
              view.name, of.name, of.extents.print(), view.extents.print());
  SPRUE_CHECK(kOp, view.dtype == of.dtype, "{} must have the dtype of {}, {}, but has {}", view.name, of.name,
              name_of(of.dtype), name_of(view.dtype));
  ops::check_view(kOp, view, rules);
}

/// A gradient that need not be asked for, of a tensor that need not be there.
void check_optional(const ops::View& gradient, const ops::View& of, bool is_f32, bool contiguous_rows,
                    bool with_data) {
  if (!gradient.given()) return;
  SPRUE_CHECK(kOp, of.given(), "{} must not be given without forward.{}, but is {}", gradient.name, of.name,
              gradient.extents.print());
  const ops::ViewRules rules{.output = true, .contiguous_rows = contiguous_rows, .with_data = with_data};
  if (is_f32) return check_like(gradient, of, rules);
  SPRUE_CHECK(kOp, ops::same_shape(gradient.extents, of.extents),
              "{} must have the shape of {}, {}, but has {}", gradient.name, of.name, of.extents.print(),
              gradient.extents.print());
  ops::check_view(kOp, gradient, rules);
}

}  // namespace

void check(const AttentionBackward& args, const AttentionLayout& layout, const AttentionBackwardViews& views,
           bool with_data) {
  const auto& [out, q, k, v, lse] = views.forward;
  check_forward(args, layout, views.forward, with_data);
  const ops::ViewRules output{.output = true, .with_data = with_data};
  check_like(views.dq, q, output);
  check_like(views.dk, k, output);
  check_like(views.dv, v, output);
  check_like(views.dout, out, {.with_data = with_data});

  const Attention& forward = args.forward;
  const ops::View bias("bias", forward.bias), slopes("alibi_slopes", forward.alibi_slopes),
      sinks("sinks", forward.sinks);
  const ops::View dbias("dbias", args.dbias), dslopes("dslopes", args.dslopes), dsinks("dsinks", args.dsinks);
  check_optional(dbias, bias, false, true, with_data);
  SPRUE_CHECK(kOp, !dbias.given() || dbias.dtype == DType::f32 || dbias.dtype == q.dtype,
              "dbias must have dtype f32 or that of q, {}, but has {}", name_of(q.dtype),
              name_of(dbias.dtype));
  check_optional(dslopes, slopes, true, false, with_data);
  check_optional(dsinks, sinks, true, false, with_data);

  const ops::View inputs[] = {slopes,
                              bias,
                              sinks,
                              {"cu_seqlens_q", forward.cu_seqlens_q},
                              {"cu_seqlens_k", forward.cu_seqlens_k},
                              {"seqused_q", forward.seqused_q},
                              {"seqused_k", forward.seqused_k}};
  const Tensor scratch(args.workspace, DType::f32, {static_cast<std::int64_t>(args.workspace_bytes / sizeof(float))});
  const ops::View workspace("workspace", scratch);
  const ops::View* const outputs[] = {&views.dq, &views.dk, &views.dv, &dbias, &dslopes, &dsinks, &workspace};
  for (const ops::View* const* a = std::begin(outputs); a != std::end(outputs); ++a) {
    if ((*a)->data == nullptr) continue;
    for (const ops::View* input : {&views.dout, &q, &k, &v, &out, &lse}) ops::check_apart(kOp, **a, *input);
    for (const ops::View& input : inputs) ops::check_apart(kOp, **a, input);
    for (const ops::View* const* b = std::begin(outputs); b != a; ++b) ops::check_apart(kOp, **a, **b);
  }
  SPRUE_CHECK(kOp, reinterpret_cast<std::uintptr_t>(args.workspace) % 256 == 0,
              "workspace must be aligned to 256 bytes, but is at {}", args.workspace);
}

}  // namespace sprue
