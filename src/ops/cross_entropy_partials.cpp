// cross_entropy_partials: check → launch. The kernel is
// kernel_templates/cross_entropy/cross_entropy_forward.cu.
#include "ops/cross_entropy_check.h"
#include "ops/cross_entropy_forward.h"

namespace sprue {
namespace {

constexpr char kOp[] = "cross_entropy_partials";

std::int64_t check(const CrossEntropyPartials& args, bool with_data) {
  const ops::View partials("partials", args.partials), logits("logits", args.logits),
      labels("labels", args.labels);
  ops::check_loss_options(kOp, args.options);
  SPRUE_CHECK(kOp, args.options.reduction == Reduction::none,
              "reduction must be none, as cross_entropy_combine reduces, but is {}",
              args.options.reduction == Reduction::mean ? "mean" : "sum");
  ops::check_logits(kOp, logits, with_data);
  ops::check_labels(kOp, labels, with_data);
  ops::check_one_label_per_row(kOp, labels, logits);
  Extents wanted = logits.extents;
  wanted.shape[static_cast<std::size_t>(wanted.rank - 1)] = 3;
  SPRUE_CHECK(kOp, partials.dtype == DType::f32, "partials must have dtype f32, but has {}",
              name_of(partials.dtype));
  SPRUE_CHECK(kOp, ops::same_shape(partials.extents, wanted),
              "partials must be {}, three values per row, but is {}", wanted.print(),
              partials.extents.print());
  SPRUE_CHECK(kOp, partials.empty() || partials.extents.contiguous(),
              "partials must be contiguous, but is not");
  ops::check_view(kOp, partials, {.output = true, .with_data = with_data});
  ops::check_apart(kOp, partials, logits);
  ops::check_apart(kOp, partials, labels);
  return ops::check_classes(kOp, logits, args.class_start, args.total_classes);
}

ops::CrossEntropyForward forward_of(const CrossEntropyPartials& args, const Tensor& no_dlogits,
                                    std::int64_t total_classes) {
  return {.logits = args.logits,
          .labels = args.labels,
          .dlogits = no_dlogits,
          .options = args.options,
          .class_start = args.class_start,
          .total_classes = total_classes,
          .has_partials = true,
          .partials = args.partials.data};
}

}  // namespace

void cross_entropy_partials(Runtime& runtime, const CrossEntropyPartials& args, Stream stream) {
  const std::int64_t total_classes = check(args, true);
  if (ops::count(kOp, args.labels.extents, args.labels.extents.rank) == 0) return;
  ops::cross_entropy_forward(kOp, runtime.impl(), forward_of(args, {}, total_classes), stream);
}

KernelInfo prepare(Runtime& runtime, const CrossEntropyPartials& args) {
  const std::int64_t total_classes = check(args, false);
  return ops::prepare_cross_entropy_forward(kOp, runtime.impl(), forward_of(args, {}, total_classes));
}

}  // namespace sprue
