// cross_entropy: check → launch. The kernels are kernel_templates/cross_entropy/cross_entropy_forward.cu and,
// for means, sums and bad_labels, cross_entropy_sum.cu.
#include <iterator>

#include "ops/cross_entropy_check.h"
#include "ops/cross_entropy_forward.h"
#include "ops/cross_entropy_loss.h"

namespace sprue {
namespace {

constexpr char kOp[] = "cross_entropy";

void check(const CrossEntropy& args, bool with_data) {
  const ops::View loss("loss", args.loss), logits("logits", args.logits), labels("labels", args.labels),
      dlogits("dlogits", args.dlogits), z_loss("z_loss", args.z_loss), lse("lse", args.lse),
      bad_labels("bad_labels", args.bad_labels), precomputed_lse("precomputed_lse", args.precomputed_lse);
  ops::check_loss_options(kOp, args.options);
  ops::check_logits(kOp, logits, with_data);
  ops::check_labels(kOp, labels, with_data);
  ops::check_one_label_per_row(kOp, labels, logits);
  ops::check_loss(kOp, loss, labels, args.options.reduction, with_data);
  if (z_loss.given()) ops::check_loss(kOp, z_loss, labels, args.options.reduction, with_data);
  if (lse.given()) ops::check_per_row(kOp, lse, labels, {.output = true, .with_data = with_data});
  if (precomputed_lse.given()) ops::check_per_row(kOp, precomputed_lse, labels, {.with_data = with_data});
  if (bad_labels.given()) ops::check_bad_labels(kOp, bad_labels, with_data);
  if (dlogits.given()) ops::check_dlogits(kOp, dlogits, logits, with_data);
  const ops::View* const outputs[] = {&loss, &z_loss, &lse, &bad_labels, &dlogits};
  for (auto a = std::begin(outputs); a != std::end(outputs); ++a) {
    const ops::View* const output = *a;
    for (auto b = a + 1; b != std::end(outputs); ++b) ops::check_apart(kOp, *output, **b);
    if (output != &dlogits) ops::check_apart(kOp, *output, logits);
    ops::check_apart(kOp, *output, labels);
    ops::check_apart(kOp, *output, precomputed_lse);
  }
}

ops::CrossEntropyForward forward_of(const CrossEntropy& args) {
  const Extents& logits = args.logits.extents;
  return {.logits = args.logits,
          .labels = args.labels,
          .dlogits = args.dlogits,
          .options = args.options,
          .class_start = 0,
          .total_classes = logits.shape[static_cast<std::size_t>(logits.rank - 1)],
          .precomputed_lse = args.precomputed_lse.data,
          .lse = args.lse.data,
          .has_precomputed_lse = ops::given(args.precomputed_lse)};
}

}  // namespace

void cross_entropy(Runtime& runtime, const CrossEntropy& args, Stream stream) {
  check(args, true);
  RuntimeImpl& impl = runtime.impl();
  ops::CrossEntropyForward forward = forward_of(args);
  const ops::RowLosses rows(kOp, impl, args.labels, args.options, forward.total_classes, args.loss,
                            args.z_loss, args.bad_labels, ops::given(args.dlogits), stream);
  if (rows.rows() != 0) {
    rows.start();
    forward.loss = rows.losses;
    forward.z_loss = rows.z_losses;
    forward.inverse_count = rows.inverse_count;
    ops::cross_entropy_forward(kOp, impl, forward, stream);
  }
  rows.finish();
}

KernelInfo prepare(Runtime& runtime, const CrossEntropy& args) {
  check(args, false);
  RuntimeImpl& impl = runtime.impl();
  if (args.options.reduction != Reduction::none || ops::given(args.bad_labels))
    ops::prepare_cross_entropy_sum(impl, args.labels);
  return ops::prepare_cross_entropy_forward(kOp, impl, forward_of(args));
}

}  // namespace sprue
