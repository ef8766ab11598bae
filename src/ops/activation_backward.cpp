// activation_backward: check → specialise → launch. The kernels are
// kernel_templates/activation/activation_backward.cu and, where sums over rows are wanted,
// kernel_templates/reduce/column_sums.cu.
#include <algorithm>
#include <cmath>
#include <optional>

#include "driver/device.h"
#include "ops/activation_problem.h"
#include "ops/column_sums.h"
#include "ops/rows.h"

namespace sprue {
namespace {

constexpr char kOp[] = "activation_backward", kKernel[] = "activation_backward";

/// The kernel's one argument, as the template declares it.
struct ActivationBackwardParams {
  void *dx, *dgate;
  const void *dy, *x, *gate, *bias, *gate_bias;
  float *dbias_rows, *dgate_bias_rows;
  long long rows, extent[ops::kMaxRowDims];
  ops::RowStrides strides[5];
  long long columns;
  int tiles, blocks;
  float negative_slope;
};

struct Views {
  explicit Views(const ActivationBackward& args)
      : dx("dx", args.dx),
        dgate("dgate", args.dgate),
        dy("dy", args.dy),
        x("x", args.x),
        gate("gate", args.gate),
        bias("bias", args.bias),
        gate_bias("gate_bias", args.gate_bias),
        dbias("dbias", args.dbias),
        dgate_bias("dgate_bias", args.dgate_bias) {}
  ops::View dx, dgate, dy, x, gate, bias, gate_bias, dbias, dgate_bias;
};

void check(const ActivationBackward& args, const Views& views, bool with_data) {
  const auto& [dx, dgate, dy, x, gate, bias, gate_bias, dbias, dgate_bias] = views;
  const ops::ViewRules input{.with_data = with_data}, output{.output = true, .with_data = with_data};
  ops::check_rows(kOp, dy, with_data, ops::kActivationColumns);
  ops::check_rows_like(kOp, x, dy, false, input);
  ops::check_rows_like(kOp, dx, dy, false, output);
  SPRUE_CHECK(kOp, gate.given() == dgate.given(),
              "dgate must be given if and only if gate is, but gate is {}given", gate.given() ? "" : "not ");
  if (gate.given()) {
    ops::check_rows_like(kOp, gate, dy, false, input);
    ops::check_rows_like(kOp, dgate, dy, false, output);
  }
  for (const ops::View* vector : {&bias, &gate_bias}) {
    if (vector->given()) ops::check_columns(kOp, *vector, dy, input, ops::kActivationColumns);
  }
  for (const ops::View* vector : {&dbias, &dgate_bias}) {
    if (vector->given()) ops::check_columns(kOp, *vector, dy, output, ops::kActivationColumns);
  }
  ops::check_bias_pair(kOp, bias, gate_bias, gate.given());
  ops::check_bias_pair(kOp, dbias, dgate_bias, gate.given());
  const std::int64_t columns = dy.extent(dy.extents.rank - 1);
  SPRUE_CHECK(kOp, columns < std::int64_t{1} << 31 || !(dbias.given() || dgate_bias.given()),
              "columns must be less than 2^31 for gradients of biases, but dy has {}", columns);
  SPRUE_CHECK(kOp, std::isfinite(args.negative_slope), "negative_slope must be finite, but is {}",
              args.negative_slope);
  for (const ops::View* gradient : {&dx, &dgate}) {
    for (const ops::View* tensor : {&dy, &x, &gate}) ops::check_in_place(kOp, *gradient, *tensor);
    for (const ops::View* vector : {&bias, &gate_bias, &dbias, &dgate_bias})
      ops::check_apart(kOp, *gradient, *vector);
  }
  ops::check_apart(kOp, dx, dgate);
  for (const ops::View* sum : {&dbias, &dgate_bias}) {
    for (const ops::View* other : {&dy, &x, &gate, &bias, &gate_bias}) ops::check_apart(kOp, *sum, *other);
  }
  ops::check_apart(kOp, dbias, dgate_bias);
}

ops::ActivationProblem specialise(const ActivationBackward& args, const Views& views,
                                  ActivationBackwardParams& params) {
  const auto& [dx, dgate, dy, x, gate, bias, gate_bias, dbias, dgate_bias] = views;
  params.dx = args.dx.data;
  params.dgate = args.dgate.data;
  params.dy = args.dy.data;
  params.x = args.x.data;
  params.gate = args.gate.data;
  params.bias = args.bias.data;
  params.gate_bias = args.gate_bias.data;
  params.rows = ops::count(kOp, dy.extents, dy.extents.rank - 1);
  params.columns = dy.extent(dy.extents.rank - 1);
  params.negative_slope = args.negative_slope;
  return {.scalar = dy.dtype,
          .bias_type = bias.given()        ? bias.dtype
                       : gate_bias.given() ? gate_bias.dtype
                                           : DType{},
          .function = args.function,
          .most_columns = ops::activation_columns(params.columns),
          .alignment = ops::with_columns(ops::element_alignment(dx, dgate, dy, x, gate, bias, gate_bias),
                                         params.columns),
          .row_dims = ops::merge_rows({&dx.extents, &dgate.extents, &dy.extents, &x.extents, &gate.extents},
                                      params.extent, params.strides),
          .gated = gate.given(),
          .has_bias = bias.given() || gate_bias.given(),
          .has_dbias = dbias.given(),
          .has_dgate_bias = dgate_bias.given()};
}

/// Of what the sums are.
DType sum_type(const Views& views) {
  return views.dbias.given() ? views.dbias.dtype : views.dgate_bias.dtype;
}

/// Blocks that share the rows of a tile: one for each round of rows, or where each leaves a row of sums, as
/// many as run at once.
std::int64_t count_blocks(const LoadedKernel& kernel, std::int64_t rows, std::int64_t tiles, bool sums) {
  const std::int64_t rounds = (rows + kernel.launch.rows_per_block - 1) / kernel.launch.rows_per_block;
  if (!sums || rounds == 0) return rounds;
  const std::int64_t at_once =
      std::int64_t{kernel.multiprocessors} * std::max(1, kernel.blocks_per_multiprocessor);
  return std::clamp<std::int64_t>(at_once / tiles, 1, rounds);
}

}  // namespace

void activation_backward(Runtime& runtime, const ActivationBackward& args, Stream stream) {
  const Views views(args);
  check(args, views, true);
  ActivationBackwardParams params{};
  const ops::ActivationProblem problem = specialise(args, views, params);
  const bool has_sums = problem.has_dbias || problem.has_dgate_bias;
  if (params.columns == 0 || (params.rows == 0 && !has_sums)) return;

  RuntimeImpl& impl = runtime.impl();
  const int device = driver::current_device();
  const LoadedKernel& kernel =
      impl.kernel(problem.key(kernel_id(kKernel), device), stream, [&] { return problem.request(kKernel); });
  std::optional<ops::ColumnSums> sums;
  if (has_sums) sums.emplace(impl, sum_type(views), device, stream);

  const std::int64_t tiles = ops::activation_tiles(problem, kernel.launch, params.columns);
  const std::int64_t blocks = count_blocks(kernel, params.rows, tiles, has_sums);
  const unsigned grid = ops::grid_size(kOp, blocks, tiles);
  params.tiles = static_cast<int>(tiles);
  params.blocks = static_cast<int>(blocks);
  if (sums) {
    sums->allocate(args.dbias, args.dgate_bias, blocks, params.columns);
    params.dbias_rows = sums->rows(0);
    params.dgate_bias_rows = sums->rows(1);
  }
  if (grid != 0) impl.launch(kernel, grid, stream, &params);
  if (sums) sums->launch(kOp);
}

KernelInfo prepare(Runtime& runtime, const ActivationBackward& args) {
  const Views views(args);
  check(args, views, false);
  ActivationBackwardParams params{};
  const ops::ActivationProblem problem = specialise(args, views, params);
  const int device = driver::current_device();
  if (problem.has_dbias || problem.has_dgate_bias)
    ops::ColumnSums::prepare(runtime.impl(), sum_type(views), device);
  return runtime.impl().prepare(problem.key(kernel_id(kKernel), device), problem.request(kKernel));
}

}  // namespace sprue
