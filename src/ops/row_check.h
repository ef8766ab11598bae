// Checks that operators on rows share.
#pragma once

#include "ops/check.h"

namespace sprue::ops {

/// What an operator calls the elements of a row, and how many there may be.
struct RowLength {
  const char* name = "hidden";
  std::int64_t least = 1, most = 1 << 20;
};

/// [..., length] of f32, f16 or bf16.
void check_rows(const char* op, const View& x, bool with_data, const RowLength& length = {});
/// The shape of `x`; nothing else.
void check_shape(const char* op, const View& view, const View& x);
/// The dtype of `x`, or f32 if `or_f32`.
void check_dtype(const char* op, const View& view, const View& x, bool or_f32 = false);
/// A tensor of the shape of `x`; f32 or of its dtype if `or_f32`, else of its dtype.
void check_rows_like(const char* op, const View& view, const View& x, bool or_f32, const ViewRules& rules);
/// One value for each row of `rows`, whose last dimension is hidden; the dtype is the caller's to check.
void check_row_values(const char* op, const View& view, const View& rows, const ViewRules& rules);
/// A weight or a bias: [length of x] of f32, f16 or bf16.
void check_columns(const char* op, const View& view, const View& x, const ViewRules& rules,
                   const RowLength& length = {});

}  // namespace sprue::ops
