// Checks that norms share, forward and backward.
#pragma once

#include <span>

#include "ops/check.h"
#include "sprue/ops/dropout.h"

namespace sprue::ops {

/// [..., hidden] of a floating-point dtype.
void check_rows(const char* op, const View& x, bool with_data);
/// The shape of `x`; nothing else.
void check_shape(const char* op, const View& view, const View& x);
/// The dtype of `x`, or f32 if `or_f32`.
void check_dtype(const char* op, const View& view, const View& x, bool or_f32 = false);
/// A tensor of the shape of `x`; f32 or of its dtype if `or_f32`, else of its dtype.
void check_rows_like(const char* op, const View& view, const View& x, bool or_f32, const ViewRules& rules);
/// One value for each row of `rows`, whose last dimension is hidden; the dtype is the caller's to check.
void check_row_values(const char* op, const View& view, const View& rows, const ViewRules& rules);
/// A tensor whose rows others number: [rows, hidden].
void check_numbered(const char* op, const View& view, const View& numbers);
/// `view` is given if `other` is, and only then.
void check_together(const char* op, const View& view, const View& other);
/// Row numbers, scales and dropout of x, and of x1; whether masks are given is the caller's to check.
struct SummandViews {
  const View &x, &rows, &row_scale, &column_scale, &dropout_mask, &dropout_mask1, &x_rows;
};
void check_summands(const char* op, const SummandViews& views, float x_scale, const Dropout& dropout,
                    bool writes_masks, bool with_data);
/// No output overlaps anything, but for what `may_be` says: (output, other) → whether they may be the same
/// view.
struct SamePair {
  const View *output, *other;
};
void check_all_apart(const char* op, std::span<const View* const> outputs,
                     std::span<const View* const> inputs, std::span<const SamePair> may_be);
/// A weight or a bias: [hidden], of `dtype` if given by `like`.
void check_columns(const char* op, const View& view, const View& x, const ViewRules& rules);

}  // namespace sprue::ops
