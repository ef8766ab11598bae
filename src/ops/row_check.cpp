#include "ops/row_check.h"

#include <algorithm>

namespace sprue::ops {

void check_rows(const char* op, const View& x, bool with_data, const RowLength& length) {
  SPRUE_CHECK(op, x.extents.rank >= 1, "{} must have 1 to {} dimensions [..., {}], but is not given", x.name, kMaxRank,
              length.name);
  const std::int64_t columns = x.extent(x.extents.rank - 1);
  SPRUE_CHECK(op, columns >= length.least && columns <= length.most,
              "{}, the last extent of {}, must be {} to {}, but is {}", length.name, x.name, length.least, length.most,
              columns);
  SPRUE_CHECK(op, is_float(x.dtype), "{} must have dtype f32, f16 or bf16, but has {}", x.name,
              name_of(x.dtype));
  check_view(op, x, {.with_data = with_data});
}

void check_shape(const char* op, const View& view, const View& x) {
  SPRUE_CHECK(op, same_shape(view.extents, x.extents), "{} must have the shape of {}, {}, but has {}",
              view.name, x.name, x.extents.print(), view.extents.print());
}

void check_dtype(const char* op, const View& view, const View& x, bool or_f32) {
  SPRUE_CHECK(op, view.dtype == x.dtype || (or_f32 && view.dtype == DType::f32),
              "{} must have the dtype of {}, {}{}, but has {}", view.name, x.name, name_of(x.dtype),
              or_f32 ? ", or f32" : "", name_of(view.dtype));
}

void check_rows_like(const char* op, const View& view, const View& x, bool or_f32, const ViewRules& rules) {
  check_shape(op, view, x);
  check_dtype(op, view, x, or_f32);
  check_view(op, view, rules);
}

void check_row_values(const char* op, const View& view, const View& rows, const ViewRules& rules) {
  const Extents& all = rows.extents;
  SPRUE_CHECK(op,
              view.extents.rank == all.rank - 1 &&
                  std::equal(all.shape.begin(), all.shape.begin() + all.rank - 1, view.extents.shape.begin()),
              "{} must have the shape of {} without hidden, of {}, but has {}", view.name, rows.name,
              all.print(), view.extents.print());
  ViewRules values = rules;
  values.contiguous_rows = false;
  check_view(op, view, values);
}

void check_columns(const char* op, const View& view, const View& x, const ViewRules& rules, const RowLength& length) {
  const std::int64_t columns = x.extent(x.extents.rank - 1);
  SPRUE_CHECK(op, view.extents.rank == 1, "{} must have 1 dimension [{}], but has {}", view.name,
              length.name, view.extents.rank);
  SPRUE_CHECK(op, view.extent(0) == columns, "{} must have {} elements, the last extent of {}, but has {}",
              view.name, columns, x.name, view.extent(0));
  SPRUE_CHECK(op, is_float(view.dtype), "{} must have dtype f32, f16 or bf16, but has {}", view.name,
              name_of(view.dtype));
  check_view(op, view, rules);
}

}  // namespace sprue::ops
