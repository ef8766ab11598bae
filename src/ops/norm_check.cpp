#include "ops/norm_check.h"

#include <algorithm>
#include <cmath>

#include "ops/rows.h"

namespace sprue::ops {

void check_numbered(const char* op, const View& view, const View& numbers) {
  SPRUE_CHECK(op, view.extents.rank == 2, "{} must have 2 dimensions [rows, hidden] with {}, but has {}",
              view.name, numbers.name, view.extents.rank);
}

void check_together(const char* op, const View& view, const View& other) {
  SPRUE_CHECK(op, view.given() || !other.given(), "{} must be given with {}, but is not", view.name,
              other.name);
  SPRUE_CHECK(op, other.given() || !view.given(), "{} must not be given without {}, but is {}", view.name,
              other.name, view.extents.print());
}

void check_summands(const char* op, const SummandViews& views, float x_scale, const Dropout& dropout,
                    bool writes_masks, bool with_data) {
  const auto& [x, rows, row_scale, column_scale, dropout_mask, dropout_mask1, x_rows] = views;
  const ViewRules input{.with_data = with_data}, mask{.output = writes_masks, .with_data = with_data};
  if (x_rows.given()) {
    SPRUE_CHECK(op, x_rows.dtype == DType::i32, "x_rows must have dtype i32, but has {}",
                name_of(x_rows.dtype));
    SPRUE_CHECK(op, x_rows.extents.rank <= kMaxRowDims, "x_rows must have 1 to {} dimensions, but has {}",
                kMaxRowDims, x_rows.extents.rank);
    check_row_values(op, x_rows, rows, input);
  }
  if (row_scale.given()) {
    check_row_values(op, row_scale, rows, input);
    check_dtype(op, row_scale, x, true);
  }
  if (column_scale.given()) check_columns(op, column_scale, x, input);
  SPRUE_CHECK(op, std::isfinite(x_scale), "x_scale must be finite, but is {}", x_scale);
  SPRUE_CHECK(op, dropout.probability >= 0 && dropout.probability < 1,
              "dropout.probability must be at least 0 and below 1, but is {}", dropout.probability);
  for (const View* view : {&dropout_mask, &dropout_mask1}) {
    if (!view->given()) continue;
    SPRUE_CHECK(op, dropout.probability > 0, "{} must not be given without dropout, but is {}", view->name,
                view->extents.print());
    SPRUE_CHECK(op, view->dtype == DType::u8, "{} must have dtype u8, but has {}", view->name,
                name_of(view->dtype));
    check_shape(op, *view, view == &dropout_mask ? x : rows);
    check_view(op, *view, mask);
  }
}

void check_all_apart(const char* op, std::span<const View* const> outputs,
                     std::span<const View* const> inputs, std::span<const InPlace> in_place) {
  const auto check = [&](const View& output, const View& other) {
    const bool may = std::any_of(in_place.begin(), in_place.end(), [&](const InPlace& pair) {
      return pair.output == &output && pair.input == &other;
    });
    may ? check_in_place(op, output, other) : check_apart(op, output, other);
  };
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (!outputs[i]->given()) continue;
    for (std::size_t j = i + 1; j < outputs.size(); ++j) {
      if (outputs[j]->given()) check(*outputs[i], *outputs[j]);
    }
    for (const View* input : inputs) {
      if (input->given()) check(*outputs[i], *input);
    }
  }
}

}  // namespace sprue::ops
