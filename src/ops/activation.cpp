// activation: check → specialise → launch. The kernel is kernel_templates/activation/activation_forward.cu.
#include <cmath>

#include "driver/device.h"
#include "ops/activation_problem.h"
#include "ops/rows.h"

namespace sprue {
namespace {

constexpr char kOp[] = "activation", kKernel[] = "activation_forward";

/// The kernel's one argument, as the template declares it.
struct ActivationParams {
  void* y;
  const void *x, *gate, *bias, *gate_bias;
  long long rows, extent[ops::kMaxRowDims];
  ops::RowStrides strides[3];
  long long columns;
  int tiles;
  float negative_slope;
};

struct Views {
  explicit Views(const Activation& args)
      : y("y", args.y),
        x("x", args.x),
        gate("gate", args.gate),
        bias("bias", args.bias),
        gate_bias("gate_bias", args.gate_bias) {}
  ops::View y, x, gate, bias, gate_bias;
};

void check(const Activation& args, const Views& views, bool with_data) {
  const auto& [y, x, gate, bias, gate_bias] = views;
  const ops::ViewRules input{.with_data = with_data};
  ops::check_rows(kOp, x, with_data, ops::kActivationColumns);
  ops::check_rows_like(kOp, y, x, false, {.output = true, .with_data = with_data});
  if (gate.given()) ops::check_rows_like(kOp, gate, x, false, input);
  for (const ops::View* vector : {&bias, &gate_bias}) {
    if (vector->given()) ops::check_columns(kOp, *vector, x, input, ops::kActivationColumns);
  }
  ops::check_bias_pair(kOp, bias, gate_bias, gate.given());
  SPRUE_CHECK(kOp, std::isfinite(args.negative_slope), "negative_slope must be finite, but is {}",
              args.negative_slope);
  for (const ops::View* tensor : {&x, &gate}) ops::check_in_place(kOp, y, *tensor);
  for (const ops::View* vector : {&bias, &gate_bias}) ops::check_apart(kOp, y, *vector);
}

ops::ActivationProblem specialise(const Activation& args, const Views& views, ActivationParams& params) {
  const auto& [y, x, gate, bias, gate_bias] = views;
  params.y = args.y.data;
  params.x = args.x.data;
  params.gate = args.gate.data;
  params.bias = args.bias.data;
  params.gate_bias = args.gate_bias.data;
  params.rows = ops::count(kOp, x.extents, x.extents.rank - 1);
  params.columns = x.extent(x.extents.rank - 1);
  params.negative_slope = args.negative_slope;
  return {.scalar = x.dtype,
          .bias_type = bias.given()        ? bias.dtype
                       : gate_bias.given() ? gate_bias.dtype
                                           : DType{},
          .function = args.function,
          .most_columns = ops::activation_columns(params.columns),
          .alignment = ops::with_columns(ops::element_alignment(y, x, gate, bias, gate_bias), params.columns),
          .row_dims = ops::merge_rows({&y.extents, &x.extents, &gate.extents}, params.extent, params.strides),
          .gated = gate.given(),
          .has_bias = bias.given() || gate_bias.given()};
}

}  // namespace

void activation(Runtime& runtime, const Activation& args, Stream stream) {
  const Views views(args);
  check(args, views, true);
  ActivationParams params{};
  const ops::ActivationProblem problem = specialise(args, views, params);
  if (params.rows == 0 || params.columns == 0) return;

  RuntimeImpl& impl = runtime.impl();
  const LoadedKernel& kernel = impl.kernel(problem.key(kernel_id(kKernel), driver::current_device()), stream,
                                           [&] { return problem.request(kKernel); });
  const std::int64_t tiles = ops::activation_tiles(problem, kernel.launch, params.columns);
  const unsigned grid = ops::grid_size(kOp, params.rows, kernel.launch.rows_per_block, tiles);
  params.tiles = static_cast<int>(tiles);
  impl.launch(kernel, grid, stream, &params);
}

KernelInfo prepare(Runtime& runtime, const Activation& args) {
  const Views views(args);
  check(args, views, false);
  ActivationParams params{};
  const ops::ActivationProblem problem = specialise(args, views, params);
  return runtime.impl().prepare(problem.key(kernel_id(kKernel), driver::current_device()),
                                problem.request(kKernel));
}

}  // namespace sprue
