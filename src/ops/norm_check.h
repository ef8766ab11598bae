// Checks that norms share, forward and backward.
#pragma once

#include "ops/check.h"

namespace sprue::ops {

/// [..., hidden] of a floating-point dtype.
void check_rows(const char* op, const View& x, bool with_data);
/// A tensor of the shape of `x`; f32 or of its dtype if `or_f32`, else of its dtype.
void check_rows_like(const char* op, const View& view, const View& x, bool or_f32, const ViewRules& rules);
/// A weight or a bias: [hidden], of `dtype` if given by `like`.
void check_columns(const char* op, const View& view, const View& x, const ViewRules& rules);

}  // namespace sprue::ops
