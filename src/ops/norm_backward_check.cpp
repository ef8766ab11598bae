#include "ops/norm_backward_check.h"

#include <cmath>

#include "ops/norm_check.h"
#include "ops/rows.h"

namespace sprue {
namespace {

using ops::View;
using ops::ViewRules;

constexpr std::int64_t kMaxHidden = 131072;  // what a cluster's registers hold of a row

/// Of the shape of `rows` and the dtype of dy, or f32 if `or_f32`.
void check_like(const char* op, const View& view, const View& rows, const View& dy, bool or_f32,
                const ViewRules& rules) {
  ops::check_shape(op, view, rows);
  ops::check_dtype(op, view, dy, or_f32);
  ops::check_view(op, view, rules);
}

void check_weights(const NormBackward& args, const NormBackwardViews& v, const ViewRules& input,
                   const ViewRules& output) {
  const char* const op = args.op;
  if (v.weight.given()) ops::check_columns(op, v.weight, v.dy, input);
  SPRUE_CHECK(op, v.weight.given() || !args.zero_centred_weight,
              "zero_centred_weight must not be set without a weight, but is");
  SPRUE_CHECK(op, v.weight.given() || !v.dy1.given(), "weight must be given with dy1, but is not");
  ops::check_together(op, v.weight1, v.dy1);
  if (v.dy1.given()) {
    ops::check_together(op, v.bias1, v.bias);
    ops::check_together(op, v.dweight1, v.dweight);
    ops::check_together(op, v.dbias1, v.dbias);
  }
  for (const View* other : {&v.bias1, &v.dweight1, &v.dbias1}) {
    SPRUE_CHECK(op, v.dy1.given() || !other->given(), "{} must not be given without dy1, but is {}",
                other->name, other->extents.print());
  }
  SPRUE_CHECK(op, !v.bias.given() || (v.gate.given() && !args.gate_first),
              "bias must not be given without a gate behind the norm, but is {}", v.bias.extents.print());
  for (const View* other : {&v.weight1, &v.bias, &v.bias1, &v.dweight, &v.dbias, &v.dweight1, &v.dbias1}) {
    if (!other->given()) continue;
    SPRUE_CHECK(op, v.weight.given(), "{} must not be given without a weight, but is {}", other->name,
                other->extents.print());
    const bool written = other->name[0] == 'd';
    ops::check_columns(op, *other, v.dy, written ? output : input);
    ops::check_dtype(op, *other, v.weight);
  }
}

/// What x, x1, the gate and the residual get, and what that depends on.
void check_gradients(const NormBackward& args, const NormBackwardViews& v, const View& rows,
                     const ViewRules& input, const ViewRules& output) {
  const char* const op = args.op;
  const View& x = v.x_rows.given() ? v.dx : rows;  // of the shape of x
  if (v.x_rows.given()) {
    ops::check_numbered(op, v.dx, v.x_rows);
    SPRUE_CHECK(op, v.dx.extent(1) == v.hidden(), "dx must have {} columns, as many as dy, but has {}",
                v.hidden(), v.dx.extent(1));
  } else {
    ops::check_shape(op, v.dx, rows);
  }
  ops::check_dtype(op, v.dx, v.dy);
  ops::check_view(op, v.dx, output);
  ops::check_summands(op, {x, rows, v.row_scale, v.column_scale, v.dropout_mask, v.dropout_mask1, v.x_rows},
                      args.x_scale, args.dropout, false, input.with_data);
  ops::check_together(op, v.x, v.dcolumn_scale);
  if (v.x.given()) {
    check_like(op, v.x, x, v.dy, false, input);
    SPRUE_CHECK(op, v.column_scale.given(), "dcolumn_scale must not be given without column_scale, but is {}",
                v.dcolumn_scale.extents.print());
    ops::check_columns(op, v.dcolumn_scale, v.dy, output);
    ops::check_dtype(op, v.dcolumn_scale, v.column_scale);
  }
  if (v.dx1.given()) check_like(op, v.dx1, rows, v.dy, false, output);
  SPRUE_CHECK(op, v.dx1.given() || !v.dropout_mask1.given(),
              "dropout_mask1 must not be given without dx1, but is {}", v.dropout_mask1.extents.print());
  if (v.dx1.given()) ops::check_together(op, v.dropout_mask1, v.dropout_mask);
  if (v.gate.given()) check_like(op, v.gate, rows, v.dy, false, input);
  SPRUE_CHECK(op, v.gate.given() || !args.gate_first, "gate_first must not be set without a gate, but is");
  ops::check_together(op, v.dgate, v.gate);
  if (v.dgate.given()) check_like(op, v.dgate, rows, v.dy, false, output);
  if (v.dresidual_out.given()) check_like(op, v.dresidual_out, rows, v.dy, true, input);
  if (v.dresidual.given()) check_like(op, v.dresidual, rows, v.dy, true, output);
  SPRUE_CHECK(op,
              !v.dresidual.given() || !v.dresidual_out.given() || v.dresidual.dtype == v.dresidual_out.dtype,
              "dresidual must have the dtype of dresidual_out, {}, but has {}",
              name_of(v.dresidual_out.dtype), name_of(v.dresidual.dtype));
}

}  // namespace

NormBackwardViews::NormBackwardViews(const NormBackward& args)
    : dx("dx", args.dx),
      dx1("dx1", args.dx1),
      dy("dy", args.dy),
      dy1("dy1", args.dy1),
      z("z", args.z),
      weight("weight", args.weight),
      weight1("weight1", args.weight1),
      bias("bias", args.bias),
      bias1("bias1", args.bias1),
      dweight("dweight", args.dweight),
      dweight1("dweight1", args.dweight1),
      dbias("dbias", args.dbias),
      dbias1("dbias1", args.dbias1),
      dresidual_out("dresidual_out", args.dresidual_out),
      dresidual("dresidual", args.dresidual),
      x("x", args.x),
      row_scale("row_scale", args.row_scale),
      column_scale("column_scale", args.column_scale),
      dcolumn_scale("dcolumn_scale", args.dcolumn_scale),
      dropout_mask("dropout_mask", args.dropout_mask),
      dropout_mask1("dropout_mask1", args.dropout_mask1),
      gate("gate", args.gate),
      dgate("dgate", args.dgate),
      x_rows("x_rows", args.x_rows),
      y_rows("y_rows", args.y_rows) {}

void check(const NormBackward& args, const NormBackwardViews& v, bool with_data) {
  const char* const op = args.op;
  const ViewRules input{.with_data = with_data}, output{.output = true, .with_data = with_data};
  ops::check_rows(op, v.dy, with_data);
  SPRUE_CHECK(op, v.hidden() <= kMaxHidden, "hidden, the last extent of dy, must be at most {}, but is {}",
              kMaxHidden, v.hidden());
  const ConstTensor like(nullptr, v.dy.dtype, v.shape());
  const View rows(v.y_rows.given() ? "z" : "dy", like);
  if (v.y_rows.given()) {
    ops::check_numbered(op, v.dy, v.y_rows);
    SPRUE_CHECK(op, v.y_rows.dtype == DType::i32, "y_rows must have dtype i32, but has {}",
                name_of(v.y_rows.dtype));
    SPRUE_CHECK(op, v.z.extents.rank >= 1 && v.z.extent(v.z.extents.rank - 1) == v.hidden(),
                "z must have {} columns, as many as dy, but has {}", v.hidden(),
                v.z.extents.rank >= 1 ? v.z.extent(v.z.extents.rank - 1) : 0);
    ops::check_row_values(op, v.y_rows, rows, input);
  } else {
    ops::check_shape(op, v.z, rows);
  }
  ops::check_dtype(op, v.z, v.dy, true);
  ops::check_view(op, v.z, input);
  if (v.dy1.given()) ops::check_rows_like(op, v.dy1, v.dy, false, input);
  SPRUE_CHECK(op, std::isfinite(args.eps) && args.eps >= 0, "eps must be finite and not negative, but is {}",
              args.eps);
  check_weights(args, v, input, output);
  check_gradients(args, v, rows, input, output);

  const View* const outputs[] = {&v.dx,       &v.dresidual, &v.dweight,       &v.dbias, &v.dx1,
                                 &v.dweight1, &v.dbias1,    &v.dcolumn_scale, &v.dgate};
  const View* const inputs[] = {
      &v.dy,     &v.z,     &v.weight,    &v.dresidual_out, &v.dy1,          &v.weight1,       &v.bias,
      &v.bias1,  &v.x,     &v.row_scale, &v.column_scale,  &v.dropout_mask, &v.dropout_mask1, &v.gate,
      &v.x_rows, &v.y_rows};
  const bool all_rows = !v.x_rows.given() && !v.y_rows.given();
  const ops::InPlace in_place[] = {
      {all_rows ? &v.dx : nullptr, &v.dy}, {&v.dresidual, &v.dresidual_out}, {&v.dgate, &v.gate}};
  ops::check_all_apart(op, outputs, inputs, in_place);
}

}  // namespace sprue
