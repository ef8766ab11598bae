#include "ops/norm_check.h"

#include <algorithm>
#include <cmath>

#include "ops/rows.h"

namespace sprue::ops {
namespace {

constexpr std::int64_t kMaxHidden = 1 << 20;

}  // namespace

void check_rows(const char* op, const View& x, bool with_data) {
  SPRUE_CHECK(op, x.extents.rank >= 1, "{} must have 1 to {} dimensions [..., hidden], but is not given",
              x.name, kMaxRank);
  const std::int64_t hidden = x.extent(x.extents.rank - 1);
  SPRUE_CHECK(op, hidden >= 1 && hidden <= kMaxHidden,
              "hidden, the last extent of {}, must be 1 to {}, but is {}", x.name, kMaxHidden, hidden);
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
                     std::span<const View* const> inputs, std::span<const SamePair> may_be) {
  const auto check = [&](const View& output, const View& other) {
    if (apart(output, other)) return;
    const bool may = std::any_of(may_be.begin(), may_be.end(), [&](const SamePair& pair) {
      return pair.output == &output && pair.other == &other;
    });
    SPRUE_CHECK(op, !may || same_view(output, other),
                "{} must be {} itself or not overlap it, but they share memory as different views",
                output.name, other.name);
    SPRUE_CHECK(op, may, "{} must not overlap {}, but they share memory", output.name, other.name);
  };
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i]->data == nullptr) continue;
    for (std::size_t j = i + 1; j < outputs.size(); ++j) check(*outputs[i], *outputs[j]);
    for (const View* input : inputs) check(*outputs[i], *input);
  }
}

void check_columns(const char* op, const View& view, const View& x, const ViewRules& rules) {
  const std::int64_t hidden = x.extent(x.extents.rank - 1);
  SPRUE_CHECK(op, view.extents.rank == 1, "{} must have 1 dimension [hidden], but has {}", view.name,
              view.extents.rank);
  SPRUE_CHECK(op, view.extent(0) == hidden, "{} must have {} elements, the last extent of {}, but has {}",
              view.name, hidden, x.name, view.extent(0));
  SPRUE_CHECK(op, is_float(view.dtype), "{} must have dtype f32, f16 or bf16, but has {}", view.name,
              name_of(view.dtype));
  check_view(op, view, rules);
}

}  // namespace sprue::ops
