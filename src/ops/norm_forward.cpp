// norm_forward: check → specialise → launch. The kernel is kernel_templates/norm/norm_forward.cu.
#include "ops/norm_forward.h"

#include "driver/device.h"
#include "ops/norm_parameters.h"
#include "ops/norm_forward_check.h"
#include "ops/rows.h"
#include "runtime/runtime_impl.h"

namespace sprue {
namespace {

constexpr char kKernel[] = "norm_forward";

/// Tensors with rows, in the order of their strides.
enum RowTensor {
  kY,
  kX,
  kResidual,
  kResidualOut,
  kMask,
  kX1,
  kMask1,
  kRowScale,
  kGate,
  kY1,
  kYRowScale,
  kY1RowScale,
  kXRows,
  kYRows,
  kRowTensors
};

/// The kernel's one argument, as the template declares it.
struct NormForwardParams {
  void* y[2];
  const void *x, *residual;
  void* residual_out;
  const void *weight[2], *bias[2];
  long long rows, extent[ops::kMaxRowDims];
  ops::RowStrides strides[kRowTensors];
  const void *x1, *gate, *row_scale, *column_scale;
  void *mask, *mask1, *y_row_scale[2];
  const void *y_scale[2], *x_rows, *y_rows;
  long long rows_of_x, rows_of_y;
  ops::RoundKeys dropout_keys;
  std::uint64_t dropout_offset;
  std::uint32_t kept_of_65536;
  float x_factor, x1_factor;
  float eps;
};

NormForwardParams parameters(const NormForward& args, const NormForwardViews& views) {
  NormForwardParams params{};
  ops::set_common(params, args, views);
  params.y[0] = args.y.data;
  params.y[1] = args.y1.data;
  params.residual = args.residual.data;
  params.residual_out = args.residual_out.data;
  params.x1 = args.x1.data;
  params.y_row_scale[0] = args.y_row_scale.data;
  params.y_row_scale[1] = args.y1_row_scale.data;
  params.y_scale[0] = args.y_scale.data;
  params.y_scale[1] = args.y1_scale.data;
  params.rows_of_x = args.x.extents.shape[0];
  params.rows_of_y = args.y.extents.shape[0];
  return params;
}

/// Returns how many row dimensions remain. Tensors whose rows are numbered have one stride.
int merge_rows(NormForwardParams& params, const NormForward& args, const NormForwardViews& views) {
  const Extents none;
  const Extents row_scale = ops::as_rows(args.row_scale.extents),
                y_row_scale = ops::as_rows(args.y_row_scale.extents),
                y1_row_scale = ops::as_rows(args.y1_row_scale.extents),
                x_rows = ops::as_rows(args.x_rows.extents), y_rows = ops::as_rows(args.y_rows.extents);
  const auto unless = [&](bool numbered, const Extents& extents) { return numbered ? &none : &extents; };
  const bool some_x = views.x_rows.given(), some_y = views.y_rows.given();
  const int dims = ops::merge_rows(
      views.shape(),
      {unless(some_y, args.y.extents), unless(some_x, args.x.extents), &args.residual.extents,
       &args.residual_out.extents, unless(some_x, args.dropout_mask.extents), &args.x1.extents,
       &args.dropout_mask1.extents, &row_scale, &args.gate.extents, unless(some_y, args.y1.extents),
       unless(some_y, y_row_scale), unless(some_y, y1_row_scale), &x_rows, &y_rows},
      params.extent, params.strides);
  const auto number = [&](RowTensor tensor, const Extents& extents) {
    params.strides[tensor].stride[0] = extents.stride[0];
  };
  if (some_x) {
    number(kX, args.x.extents);
    number(kMask, args.dropout_mask.extents);
  }
  if (some_y) {
    number(kY, args.y.extents);
    number(kY1, args.y1.extents);
    number(kYRowScale, args.y_row_scale.extents);
    number(kY1RowScale, args.y1_row_scale.extents);
  }
  return dims;
}

/// What the kernel is specialised for.
struct Problem {
  DType scalar, output, weight_type, residual_type, row_scale_type, column_scale_type;
  std::int64_t hidden, alignment;
  int row_dims;
  bool centred, has_weight, has_bias, zero_centred, has_sum, adds_residual, has_residual_out, has_row_scale,
      has_column_scale, x_factor, dropout, has_mask, has_x1, has_gate, gate_first, two_outputs, row_scales,
      x_rows, y_rows;

  bool quantised() const { return output != scalar; }

  KernelKey key(int device) const {
    const auto at = [](auto value, int bit) { return static_cast<std::uint64_t>(value) << bit; };
    return {
        kernel_id(kKernel),
        device,
        {at(hidden, 0) | at(alignment, 32) | at(row_dims, 40) | at(output, 48) | at(row_scale_type, 52) |
             at(column_scale_type, 56),
         at(scalar, 0) | at(weight_type, 8) | at(residual_type, 16) | at(centred, 24) | at(has_weight, 25) |
             at(has_bias, 26) | at(zero_centred, 27) | at(has_sum, 28) | at(has_residual_out, 29) |
             at(adds_residual, 30) | at(has_row_scale, 31) | at(has_column_scale, 32) | at(x_factor, 33) |
             at(dropout, 34) | at(has_mask, 35) | at(has_x1, 36) | at(has_gate, 37) | at(gate_first, 38) |
             at(two_outputs, 39) | at(row_scales, 40) | at(x_rows, 41) | at(y_rows, 42)}};
  }
  Request request() const {
    const auto type = [](bool given, DType dtype) {
      return Value(std::string(given ? name_of(dtype) : std::string_view("none")));
    };
    const auto word = [](const char* text) { return Value(std::string(text)); };
    return {kKernel,
            {{"SCALAR", std::string(name_of(scalar))},
             {"WEIGHT", type(has_weight, weight_type)},
             {"RESIDUAL", type(has_sum, residual_type)},
             {"HIDDEN", hidden},
             {"CENTRED", centred},
             {"HAS_BIAS", has_bias},
             {"ZERO_CENTRED", zero_centred},
             {"HAS_RESIDUAL_OUT", has_residual_out},
             {"ADDS_RESIDUAL", adds_residual},
             {"ROW_SCALE", type(has_row_scale, row_scale_type)},
             {"COLUMN_SCALE", type(has_column_scale, column_scale_type)},
             {"X_FACTOR", x_factor},
             {"DROPOUT", dropout},
             {"HAS_MASK", has_mask},
             {"HAS_X1", has_x1},
             {"GATE", word(!has_gate    ? "none"
                           : gate_first ? "first"
                                        : "last")},
             {"OUTPUTS", std::int64_t{two_outputs ? 2 : 1}},
             {"QUANTISED", type(quantised(), output)},
             {"SCALES", word(!quantised() ? "none"
                             : row_scales ? "row"
                                          : "tensor")},
             {"X_ROWS", x_rows},
             {"Y_ROWS", y_rows},
             {"ALIGNMENT", alignment},
             {"ROW_DIMS", std::int64_t{row_dims}}}};
  }
};

Problem specialise(const NormForward& args, const NormForwardViews& v, NormForwardParams& params) {
  const auto type = [](const ops::View& view) { return view.given() ? view.dtype : DType{}; };
  const bool dropout = args.dropout.probability != 0;
  return {.scalar = v.x.dtype,
          .output = v.y.dtype,
          .weight_type = type(v.weight),
          .residual_type = v.residual.given() ? v.residual.dtype : type(v.residual_out),
          .row_scale_type = type(v.row_scale),
          .column_scale_type = type(v.column_scale),
          .hidden = v.hidden(),
          .alignment =
              ops::element_alignment(v.y, v.x, v.weight, v.bias, v.residual, v.residual_out, v.dropout_mask,
                                     v.x1, v.dropout_mask1, v.column_scale, v.gate, v.y1, v.weight1, v.bias1),
          .row_dims = merge_rows(params, args, v),
          .centred = args.centred,
          .has_weight = v.weight.given(),
          .has_bias = v.bias.given(),
          .zero_centred = args.zero_centred_weight,
          .has_sum = v.residual.given() || v.residual_out.given(),
          .adds_residual = v.residual.given() || !v.residual_out.given(),
          .has_residual_out = v.residual_out.given(),
          .has_row_scale = v.row_scale.given(),
          .has_column_scale = v.column_scale.given(),
          .x_factor = dropout || args.x_scale != 1,
          .dropout = dropout,
          .has_mask = v.dropout_mask.given(),
          .has_x1 = v.x1.given(),
          .has_gate = v.gate.given(),
          .gate_first = args.gate_first,
          .two_outputs = v.y1.given(),
          .row_scales = v.y_row_scale.given(),
          .x_rows = v.x_rows.given(),
          .y_rows = v.y_rows.given()};
}

}  // namespace

void norm_forward(Runtime& runtime, const NormForward& args, Stream stream) {
  const NormForwardViews views(args);
  check(args, views, true);
  NormForwardParams params = parameters(args, views);
  if (params.rows == 0) return;
  const Problem problem = specialise(args, views, params);

  RuntimeImpl& impl = runtime.impl();
  const LoadedKernel& kernel =
      impl.kernel(problem.key(driver::current_device()), stream, [&] { return problem.request(); });
  const LaunchShape& launch = kernel.launch;
  std::int64_t rows = params.rows;
  if (launch.walks) rows = ops::walking_groups(rows, kernel.groups_at_once);
  impl.launch(kernel, ops::grid_size(args.op, rows, launch.rows_per_block, launch.blocks_per_row), stream,
              &params);
}

KernelInfo prepare(Runtime& runtime, const NormForward& args) {
  const NormForwardViews views(args);
  check(args, views, false);
  NormForwardParams params = parameters(args, views);
  const Problem problem = specialise(args, views, params);
  return runtime.impl().prepare(problem.key(driver::current_device()), problem.request());
}

}  // namespace sprue
