// Checks that norms share, forward and backward.
#pragma once

#include <span>

#include "ops/row_check.h"
#include "sprue/ops/dropout.h"

namespace sprue::ops {

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

/// An output that may be an input itself.
struct InPlace {
  const View *output, *input;
};
/// No output overlaps another one or an input, but for those in place.
void check_all_apart(const char* op, std::span<const View* const> outputs, std::span<const View* const> inputs,
                     std::span<const InPlace> in_place);

}  // namespace sprue::ops
