// norm_backward: check → specialise → launch. The kernels are kernel_templates/norm/norm_backward.cu and,
// where sums over rows are wanted, kernel_templates/reduce/column_sums.cu.
#include "ops/norm_backward.h"

#include <array>
#include <optional>

#include "driver/device.h"
#include "ops/column_sums.h"
#include "ops/norm_backward_check.h"
#include "ops/norm_parameters.h"
#include "ops/rows.h"
#include "runtime/runtime_impl.h"

namespace sprue {
namespace {

constexpr char kKernel[] = "norm_backward";

/// Tensors with rows, in the order of their strides.
enum RowTensor {
  kDx,
  kDy,
  kZ,
  kDresidualOut,
  kDresidual,
  kX,
  kMask,
  kDx1,
  kMask1,
  kRowScale,
  kGate,
  kDgate,
  kDy1,
  kXRows,
  kYRows,
  kRowTensors
};

/// The kernel's one argument, as the template declares it.
struct NormBackwardParams {
  void* dx;
  const void *dy[2], *z, *dresidual_out;
  void* dresidual;
  const void *weight[2], *bias[2];
  float* sum_rows[5];
  long long rows, extent[ops::kMaxRowDims];
  ops::RowStrides strides[kRowTensors];
  const void *x, *gate;
  void *dx1, *dgate;
  const void *row_scale, *column_scale, *mask, *mask1, *x_rows, *y_rows;
  long long rows_of_x, rows_of_y;
  ops::RoundKeys dropout_keys;
  std::uint64_t dropout_offset;
  std::uint32_t kept_of_65536;
  float x_factor, x1_factor;
  float eps;
};

NormBackwardParams parameters(const NormBackward& args, const NormBackwardViews& views) {
  NormBackwardParams params{};
  ops::set_common(params, args, views);
  params.dx = args.dx.data;
  params.dy[0] = args.dy.data;
  params.dy[1] = args.dy1.data;
  params.z = args.z.data;
  params.dresidual_out = args.dresidual_out.data;
  params.dresidual = args.dresidual.data;
  params.dx1 = args.dx1.data;
  params.dgate = args.dgate.data;
  params.rows_of_x = args.dx.extents.shape[0];
  params.rows_of_y = args.dy.extents.shape[0];
  return params;
}

/// Returns how many row dimensions remain. Tensors whose rows are numbered have one stride.
int merge_rows(NormBackwardParams& params, const NormBackward& args, const NormBackwardViews& views) {
  const Extents none;
  const Extents row_scale = ops::as_rows(args.row_scale.extents), x_rows = ops::as_rows(args.x_rows.extents),
                y_rows = ops::as_rows(args.y_rows.extents);
  const auto unless = [&](bool numbered, const Extents& extents) { return numbered ? &none : &extents; };
  const bool some_x = views.x_rows.given(), some_y = views.y_rows.given();
  const int dims = ops::merge_rows(
      views.shape(),
      {unless(some_x, args.dx.extents), unless(some_y, args.dy.extents), &args.z.extents,
       &args.dresidual_out.extents, &args.dresidual.extents, unless(some_x, args.x.extents),
       unless(some_x, args.dropout_mask.extents), &args.dx1.extents, &args.dropout_mask1.extents, &row_scale,
       &args.gate.extents, &args.dgate.extents, unless(some_y, args.dy1.extents), &x_rows, &y_rows},
      params.extent, params.strides);
  const auto number = [&](RowTensor tensor, const Extents& extents) {
    params.strides[tensor].stride[0] = extents.stride[0];
  };
  if (some_x) {
    number(kDx, args.dx.extents);
    number(kX, args.x.extents);
    number(kMask, args.dropout_mask.extents);
  }
  if (some_y) {
    number(kDy, args.dy.extents);
    number(kDy1, args.dy1.extents);
  }
  return dims;
}

/// What the kernels are specialised for.
struct Problem {
  DType scalar, z_type, weight_type, residual_type, row_scale_type, column_scale_type;
  std::int64_t hidden, alignment;
  int row_dims;
  bool centred, has_weight, zero_centred, has_residual, has_dresidual_out, has_dresidual, has_dweight,
      has_dbias, has_row_scale, has_column_scale, has_dcolumn_scale, x_factor, dropout, has_mask, has_dx1,
      has_gate, gate_first, has_bias, two_outputs, x_rows, y_rows;

  int outputs() const { return two_outputs ? 2 : 1; }
  /// Of rows, for which the kernel leaves parts.
  int sums() const { return (has_dweight + has_dbias) * outputs() + has_dcolumn_scale; }

  KernelKey key(int device) const {
    const auto at = [](auto value, int bit) { return static_cast<std::uint64_t>(value) << bit; };
    return {
        kernel_id(kKernel),
        device,
        {at(hidden, 0) | at(alignment, 32) | at(row_dims, 40) | at(row_scale_type, 48) |
             at(column_scale_type, 56),
         at(scalar, 0) | at(z_type, 8) | at(weight_type, 16) | at(residual_type, 24) | at(centred, 32) |
             at(has_weight, 33) | at(zero_centred, 34) | at(has_residual, 35) | at(has_dresidual_out, 36) |
             at(has_dresidual, 37) | at(has_dweight, 38) | at(has_dbias, 39) | at(has_row_scale, 40) |
             at(has_column_scale, 41) | at(has_dcolumn_scale, 42) | at(x_factor, 43) | at(dropout, 44) |
             at(has_mask, 45) | at(has_dx1, 46) | at(has_gate, 47) | at(gate_first, 48) | at(has_bias, 49) |
             at(two_outputs, 50) | at(x_rows, 51) | at(y_rows, 52)}};
  }
  Request request() const {
    const auto type = [](bool given, DType dtype) {
      return Value(std::string(given ? name_of(dtype) : std::string_view("none")));
    };
    return {kKernel,
            {{"SCALAR", std::string(name_of(scalar))},
             {"Z", std::string(name_of(z_type))},
             {"WEIGHT", type(has_weight, weight_type)},
             {"RESIDUAL", type(has_residual, residual_type)},
             {"HIDDEN", hidden},
             {"CENTRED", centred},
             {"ZERO_CENTRED", zero_centred},
             {"HAS_DRESIDUAL_OUT", has_dresidual_out},
             {"HAS_DRESIDUAL", has_dresidual},
             {"HAS_DWEIGHT", has_dweight},
             {"HAS_DBIAS", has_dbias},
             {"ROW_SCALE", type(has_row_scale, row_scale_type)},
             {"COLUMN_SCALE", type(has_column_scale, column_scale_type)},
             {"HAS_DCOLUMN_SCALE", has_dcolumn_scale},
             {"X_FACTOR", x_factor},
             {"DROPOUT", dropout},
             {"HAS_MASK", has_mask},
             {"HAS_DX1", has_dx1},
             {"GATE", std::string(!has_gate    ? "none"
                                  : gate_first ? "first"
                                               : "last")},
             {"HAS_BIAS", has_bias},
             {"OUTPUTS", std::int64_t{outputs()}},
             {"X_ROWS", x_rows},
             {"Y_ROWS", y_rows},
             {"ALIGNMENT", alignment},
             {"ROW_DIMS", std::int64_t{row_dims}}}};
  }
};

Problem specialise(const NormBackward& args, const NormBackwardViews& v, NormBackwardParams& params) {
  const auto type = [](const ops::View& view) { return view.given() ? view.dtype : DType{}; };
  const bool dropout = args.dropout.probability != 0;
  return {.scalar = v.dy.dtype,
          .z_type = v.z.dtype,
          .weight_type = type(v.weight),
          .residual_type = v.dresidual.given() ? v.dresidual.dtype : type(v.dresidual_out),
          .row_scale_type = type(v.row_scale),
          .column_scale_type = type(v.column_scale),
          .hidden = v.hidden(),
          .alignment = ops::element_alignment(v.dx, v.dy, v.z, v.weight, v.dresidual_out, v.dresidual, v.x,
                                              v.column_scale, v.dropout_mask, v.dx1, v.dropout_mask1, v.gate,
                                              v.dgate, v.bias, v.dy1, v.weight1, v.bias1),
          .row_dims = merge_rows(params, args, v),
          .centred = args.centred,
          .has_weight = v.weight.given(),
          .zero_centred = args.zero_centred_weight,
          .has_residual = v.dresidual_out.given() || v.dresidual.given(),
          .has_dresidual_out = v.dresidual_out.given(),
          .has_dresidual = v.dresidual.given(),
          .has_dweight = v.dweight.given(),
          .has_dbias = v.dbias.given(),
          .has_row_scale = v.row_scale.given(),
          .has_column_scale = v.column_scale.given(),
          .has_dcolumn_scale = v.dcolumn_scale.given(),
          .x_factor = dropout || args.x_scale != 1,
          .dropout = dropout,
          .has_mask = v.dropout_mask.given(),
          .has_dx1 = v.dx1.given(),
          .has_gate = v.gate.given(),
          .gate_first = args.gate_first,
          .has_bias = v.bias.given(),
          .two_outputs = v.dy1.given(),
          .x_rows = v.x_rows.given(),
          .y_rows = v.y_rows.given()};
}

/// How many blocks, or clusters of them, walk over rows; each leaves one row of sums.
std::int64_t count_groups(const LoadedKernel& kernel, std::int64_t rows) {
  const std::int64_t at_once = kernel.launch.rows_per_block;
  return rows == 0 ? 0 : ops::walking_groups((rows + at_once - 1) / at_once, kernel.groups_at_once);
}

/// The gradients that are sums over rows, two of one dtype at a time.
struct SumPair {
  Tensor first, second;
};
std::array<SumPair, 3> sums_of(const NormBackward& args) {
  return {{{args.dweight, args.dbias}, {args.dweight1, args.dbias1}, {args.dcolumn_scale, {}}}};
}
bool wanted(const SumPair& pair) {
  return ops::given(pair.first) || ops::given(pair.second);
}
DType type_of(const SumPair& pair) {
  return ops::given(pair.first) ? pair.first.dtype : pair.second.dtype;
}

}  // namespace

void norm_backward(Runtime& runtime, const NormBackward& args, Stream stream) {
  const NormBackwardViews views(args);
  check(args, views, true);
  NormBackwardParams params = parameters(args, views);
  const Problem problem = specialise(args, views, params);
  if (params.rows == 0 && problem.sums() == 0) return;

  RuntimeImpl& impl = runtime.impl();
  const int device = driver::current_device();
  const LoadedKernel& kernel = impl.kernel(problem.key(device), stream, [&] { return problem.request(); });
  const std::array<SumPair, 3> pairs = sums_of(args);
  std::array<std::optional<ops::ColumnSums>, 3> sums;
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    if (wanted(pairs[i])) sums[i].emplace(impl, type_of(pairs[i]), device, stream);
  }

  const std::int64_t groups = count_groups(kernel, params.rows);
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    if (sums[i]) sums[i]->allocate(pairs[i].first, pairs[i].second, groups, problem.hidden);
  }
  int rows = 0;
  const auto add_rows = [&](std::size_t pair, int target, bool given) {
    if (given) params.sum_rows[rows++] = sums[pair]->rows(target);
  };
  add_rows(0, 0, problem.has_dweight);
  add_rows(1, 0, problem.has_dweight && problem.two_outputs);
  add_rows(0, 1, problem.has_dbias);
  add_rows(1, 1, problem.has_dbias && problem.two_outputs);
  add_rows(2, 0, problem.has_dcolumn_scale);
  if (groups != 0) {
    impl.launch(kernel, static_cast<unsigned>(groups * kernel.launch.blocks_per_row), stream, &params);
  }
  for (auto& pair : sums) {
    if (pair) pair->launch(args.op);
  }
}

KernelInfo prepare(Runtime& runtime, const NormBackward& args) {
  const NormBackwardViews views(args);
  check(args, views, false);
  NormBackwardParams params = parameters(args, views);
  const Problem problem = specialise(args, views, params);
  const int device = driver::current_device();
  for (const SumPair& pair : sums_of(args)) {
    if (wanted(pair)) ops::ColumnSums::prepare(runtime.impl(), type_of(pair), device);
  }
  return runtime.impl().prepare(problem.key(device), problem.request());
}

}  // namespace sprue
