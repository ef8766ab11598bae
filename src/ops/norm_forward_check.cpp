#include "ops/norm_forward_check.h"

#include <cmath>

#include "ops/norm_check.h"
#include "ops/rows.h"

namespace sprue {
namespace {

using ops::View;
using ops::ViewRules;

void check_weights(const NormForward& args, const NormForwardViews& v, const ViewRules& input) {
  const char* const op = args.op;
  if (v.weight.given()) ops::check_columns(op, v.weight, v.x, input);
  SPRUE_CHECK(op, v.weight.given() || !args.zero_centred_weight,
              "zero_centred_weight must not be set without a weight, but is");
  if (v.y1.given()) {
    SPRUE_CHECK(op, v.weight.given(), "weight must be given with y1, but is not");
    ops::check_together(op, v.bias1, v.bias);
  } else {
    SPRUE_CHECK(op, !v.bias1.given(), "bias1 must not be given without y1, but is {}",
                v.bias1.extents.print());
  }
  ops::check_together(op, v.weight1, v.y1);
  for (const View* other : {&v.weight1, &v.bias, &v.bias1}) {
    if (!other->given()) continue;
    SPRUE_CHECK(op, v.weight.given(), "{} must not be given without a weight, but is {}", other->name,
                other->extents.print());
    ops::check_columns(op, *other, v.x, input);
    ops::check_dtype(op, *other, v.weight);
  }
}

/// y and y1, and their scales.
void check_outputs(const NormForward& args, const NormForwardViews& v, const View& rows, bool with_data) {
  const char* const op = args.op;
  const ViewRules input{.with_data = with_data}, output{.output = true, .with_data = with_data};
  if (v.y_rows.given()) {
    SPRUE_CHECK(op, v.y_rows.dtype == DType::i32, "y_rows must have dtype i32, but has {}",
                name_of(v.y_rows.dtype));
    ops::check_row_values(op, v.y_rows, rows, input);
    ops::check_numbered(op, v.y, v.y_rows);
    SPRUE_CHECK(op, v.y.extent(1) == v.hidden(), "y must have {} columns, as many as x, but has {}",
                v.hidden(), v.y.extent(1));
  } else {
    ops::check_shape(op, v.y, rows);
  }
  SPRUE_CHECK(op, v.y.dtype == v.x.dtype || v.quantised(),
              "y must have the dtype of x, {}, or e4m3 or i8, but has {}", name_of(v.x.dtype),
              name_of(v.y.dtype));
  ops::check_view(op, v.y, output);
  if (v.y1.given()) ops::check_rows_like(op, v.y1, v.y, false, output);

  if (v.quantised()) {
    SPRUE_CHECK(op, v.y_scale.given() != v.y_row_scale.given(),
                "y_scale or y_row_scale must be given with y of dtype {}, but {}", name_of(v.y.dtype),
                v.y_scale.given() ? "both are" : "neither is");
  }
  const struct {
    const View &y, &scale, &row_scale;
  } scaled[] = {{v.y, v.y_scale, v.y_row_scale}, {v.y1, v.y1_scale, v.y1_row_scale}};
  for (const auto& [y, scale, row_scale] : scaled) {
    for (const View* view : {&scale, &row_scale}) {
      if (!view->given()) continue;
      SPRUE_CHECK(op, y.given() && v.quantised(), "{} must not be given unless {} is e4m3 or i8, but is {}",
                  view->name, y.name, view->extents.print());
      SPRUE_CHECK(op, view->dtype == DType::f32, "{} must have dtype f32, but has {}", view->name,
                  name_of(view->dtype));
    }
    if (scale.given()) {
      SPRUE_CHECK(op, scale.extents.rank == 1 && scale.extent(0) == 1,
                  "{} must have 1 element, [1], but is {}", scale.name, scale.extents.print());
      ops::check_view(op, scale, input);
    }
    if (row_scale.given()) ops::check_row_values(op, row_scale, y, output);
  }
  if (v.y1.given()) {
    ops::check_together(op, v.y1_scale, v.y_scale);
    ops::check_together(op, v.y1_row_scale, v.y_row_scale);
  }
}

}  // namespace

NormForwardViews::NormForwardViews(const NormForward& args)
    : y("y", args.y),
      y1("y1", args.y1),
      x("x", args.x),
      x1("x1", args.x1),
      weight("weight", args.weight),
      weight1("weight1", args.weight1),
      bias("bias", args.bias),
      bias1("bias1", args.bias1),
      residual("residual", args.residual),
      residual_out("residual_out", args.residual_out),
      row_scale("row_scale", args.row_scale),
      column_scale("column_scale", args.column_scale),
      dropout_mask("dropout_mask", args.dropout_mask),
      dropout_mask1("dropout_mask1", args.dropout_mask1),
      gate("gate", args.gate),
      y_scale("y_scale", args.y_scale),
      y1_scale("y1_scale", args.y1_scale),
      y_row_scale("y_row_scale", args.y_row_scale),
      y1_row_scale("y1_row_scale", args.y1_row_scale),
      x_rows("x_rows", args.x_rows),
      y_rows("y_rows", args.y_rows) {
  if (x_rows.given() && x.extents.rank > 0) numbered_ = ops::rows_of(x_rows.extents, hidden());
}

void check(const NormForward& args, const NormForwardViews& v, bool with_data) {
  const char* const op = args.op;
  const ViewRules input{.with_data = with_data}, output{.output = true, .with_data = with_data};
  ops::check_rows(op, v.x, with_data);
  if (v.x_rows.given()) ops::check_numbered(op, v.x, v.x_rows);
  const ConstTensor like(nullptr, v.x.dtype, v.shape());
  const View rows(v.x_rows.given() ? "x_rows and hidden" : "x", like);
  SPRUE_CHECK(op, std::isfinite(args.eps) && args.eps >= 0, "eps must be finite and not negative, but is {}",
              args.eps);
  check_weights(args, v, input);
  ops::check_summands(op, {v.x, rows, v.row_scale, v.column_scale, v.dropout_mask, v.dropout_mask1, v.x_rows},
                      args.x_scale, args.dropout, true, with_data);
  for (const View* view : {&v.x1, &v.gate, &v.residual}) {
    if (!view->given()) continue;
    ops::check_shape(op, *view, rows);
    ops::check_dtype(op, *view, v.x, view == &v.residual);
    ops::check_view(op, *view, input);
  }
  SPRUE_CHECK(op, v.gate.given() || !args.gate_first, "gate_first must not be set without a gate, but is");
  SPRUE_CHECK(op, v.x1.given() || !v.dropout_mask1.given(),
              "dropout_mask1 must not be given without x1, but is {}", v.dropout_mask1.extents.print());
  if (v.x1.given()) ops::check_together(op, v.dropout_mask1, v.dropout_mask);
  if (v.residual_out.given()) {
    const bool changes = v.residual.given() || v.x1.given() || v.row_scale.given() ||
                         v.column_scale.given() || v.x_rows.given() || args.x_scale != 1 ||
                         args.dropout.probability != 0;
    SPRUE_CHECK(op, changes,
                "residual_out must not be given where nothing changes x before the norm, but is {}",
                v.residual_out.extents.print());
    ops::check_shape(op, v.residual_out, rows);
    ops::check_dtype(op, v.residual_out, v.residual.given() ? v.residual : v.x, !v.residual.given());
    ops::check_view(op, v.residual_out, output);
  }
  check_outputs(args, v, rows, with_data);

  const View* const outputs[] = {&v.y,  &v.residual_out, &v.dropout_mask, &v.dropout_mask1,
                                 &v.y1, &v.y_row_scale,  &v.y1_row_scale};
  const View* const inputs[] = {&v.x,       &v.residual, &v.weight,    &v.bias,         &v.x1,
                                &v.weight1, &v.bias1,    &v.row_scale, &v.column_scale, &v.gate,
                                &v.y_scale, &v.y1_scale, &v.x_rows,    &v.y_rows};
  const bool all_rows = !v.x_rows.given() && !v.y_rows.given();
  const ops::InPlace in_place[] = {{&v.residual_out, &v.residual}, {all_rows ? &v.y : nullptr, &v.x}};
  ops::check_all_apart(op, outputs, inputs, in_place);
}

}  // namespace sprue
