// Checks that the operators of cross entropy share.
#pragma once

#include "ops/check.h"
#include "sprue/ops/cross_entropy.h"

namespace sprue::ops {

void check_loss_options(const char* op, const LossOptions& options);
/// [..., classes] of a floating-point dtype.
void check_logits(const char* op, const View& logits, bool with_data);
/// The shape and dtype of logits; may be the very same view.
void check_dlogits(const char* op, const View& dlogits, const View& logits, bool with_data);
/// [...], i32 or i64.
void check_labels(const char* op, const View& labels, bool with_data);
/// Labels have the shape of logits but for the last dimension.
void check_one_label_per_row(const char* op, const View& labels, const View& logits);
/// [...] of f32, contiguous.
void check_per_row(const char* op, const View& view, const View& labels, const ViewRules& rules);
/// loss and z_loss: as check_per_row, or [1] for mean and sum.
void check_loss(const char* op, const View& view, const View& labels, Reduction reduction, bool with_data);
/// [1] of i32.
void check_bad_labels(const char* op, const View& view, bool with_data);
/// The number of classes of all ranks.
std::int64_t check_classes(const char* op, const View& logits, std::int64_t class_start,
                           std::int64_t total_classes);

}  // namespace sprue::ops
