#include "ops/cross_entropy_check.h"

#include <cmath>

#include "ops/row_check.h"

namespace sprue::ops {
namespace {

constexpr std::int64_t kMostClasses = std::int64_t{1} << 24;

/// labels as logits have it, without the last dimension.
bool shape_in_front(const Extents& labels, const Extents& logits) {
  return labels.rank + 1 == logits.rank &&
         std::equal(labels.shape.begin(), labels.shape.begin() + labels.rank, logits.shape.begin());
}

}  // namespace

void check_loss_options(const char* op, const LossOptions& o) {
  SPRUE_CHECK(op, o.label_smoothing >= 0 && o.label_smoothing <= 1,
              "label_smoothing must be 0 to 1, but is {}", o.label_smoothing);
  SPRUE_CHECK(op, std::isfinite(o.logit_scale), "logit_scale must be finite, but is {}", o.logit_scale);
  SPRUE_CHECK(op, std::isfinite(o.softcap) && o.softcap >= 0,
              "softcap must be finite and not negative, but is {}", o.softcap);
  SPRUE_CHECK(op, std::isfinite(o.lse_square_scale) && o.lse_square_scale >= 0,
              "lse_square_scale must be finite and not negative, but is {}", o.lse_square_scale);
  SPRUE_CHECK(op, o.reduction <= Reduction::sum, "reduction must be none, mean or sum, but is {}",
              static_cast<int>(o.reduction));
}

void check_logits(const char* op, const View& logits, bool with_data) {
  SPRUE_CHECK(op, logits.extents.rank >= 2, "logits must have 2 to {} dimensions [..., classes], but has {}",
              kMaxRank, logits.extents.rank);
  const std::int64_t classes = logits.extent(logits.extents.rank - 1);
  SPRUE_CHECK(op, classes >= 1 && classes <= kMostClasses,
              "classes, the last extent of logits, must be 1 to {}, but is {}", kMostClasses, classes);
  SPRUE_CHECK(op, is_float(logits.dtype), "logits must have dtype f32, f16 or bf16, but has {}",
              name_of(logits.dtype));
  check_view(op, logits, {.with_data = with_data});
}

void check_dlogits(const char* op, const View& dlogits, const View& logits, bool with_data) {
  check_rows_like(op, dlogits, logits, false, {.output = true, .with_data = with_data});
  check_in_place(op, dlogits, logits);
}

void check_labels(const char* op, const View& labels, bool with_data) {
  SPRUE_CHECK(op, labels.dtype == DType::i32 || labels.dtype == DType::i64,
              "labels must have dtype i32 or i64, but has {}", name_of(labels.dtype));
  SPRUE_CHECK(op, labels.extents.rank >= 1, "labels must have 1 to {} dimensions, but has {}", kMaxRank - 1,
              labels.extents.rank);
  check_view(op, labels, {.contiguous_rows = false, .with_data = with_data});
}

void check_one_label_per_row(const char* op, const View& labels, const View& logits) {
  SPRUE_CHECK(op, shape_in_front(labels.extents, logits.extents),
              "labels must have the shape of logits without its last dimension, {}, but has {}",
              logits.extents.print(), labels.extents.print());
}

void check_per_row(const char* op, const View& view, const View& labels, const ViewRules& rules) {
  SPRUE_CHECK(op, view.dtype == DType::f32, "{} must have dtype f32, but has {}", view.name,
              name_of(view.dtype));
  SPRUE_CHECK(op, same_shape(view.extents, labels.extents),
              "{} must have the shape of labels, {}, but has {}", view.name, labels.extents.print(),
              view.extents.print());
  SPRUE_CHECK(op, view.empty() || view.extents.contiguous(), "{} must be contiguous, but is not", view.name);
  check_view(op, view, rules);
}

void check_loss(const char* op, const View& view, const View& labels, Reduction reduction, bool with_data) {
  const ViewRules rules{.output = true, .with_data = with_data};
  if (reduction == Reduction::none) return check_per_row(op, view, labels, rules);
  SPRUE_CHECK(op, view.dtype == DType::f32, "{} must have dtype f32, but has {}", view.name,
              name_of(view.dtype));
  SPRUE_CHECK(op, view.extents.rank == 1 && view.extent(0) == 1,
              "{} must be [1] for a mean or sum, but is {}", view.name, view.extents.print());
  check_view(op, view, rules);
}

void check_bad_labels(const char* op, const View& view, bool with_data) {
  SPRUE_CHECK(op, view.dtype == DType::i32, "bad_labels must have dtype i32, but has {}",
              name_of(view.dtype));
  SPRUE_CHECK(op, view.extents.rank == 1 && view.extent(0) == 1, "bad_labels must be [1], but is {}",
              view.extents.print());
  check_view(op, view, {.output = true, .with_data = with_data});
}

std::int64_t check_classes(const char* op, const View& logits, std::int64_t class_start,
                           std::int64_t total_classes) {
  const std::int64_t classes = logits.extent(logits.extents.rank - 1);
  const std::int64_t total = total_classes == 0 ? classes : total_classes;
  SPRUE_CHECK(op, total >= classes && total <= kMostClasses * 1024,
              "total_classes must be 0 or {}, the classes of logits, to {}, but is {}", classes,
              kMostClasses * 1024, total_classes);
  SPRUE_CHECK(
      op, class_start >= 0 && class_start <= total - classes,
      "class_start must be 0 to {}, so that all {} classes of logits are below total_classes, but is {}",
      total - classes, classes, class_start);
  return total;
}

}  // namespace sprue::ops
