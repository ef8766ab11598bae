// norm_forward: check → specialise → launch. The kernel is kernel_templates/norm/norm_forward.cu.
#include "ops/norm_forward.h"

#include <cmath>

#include "driver/device.h"
#include "ops/row_check.h"
#include "ops/rows.h"
#include "runtime/runtime_impl.h"

namespace sprue {
namespace {

constexpr char kKernel[] = "norm_forward";

/// The kernel's one argument, as the template declares it.
struct NormForwardParams {
  void* y;
  const void *x, *residual;
  void* residual_out;
  const void *weight, *bias;
  long long rows, extent[ops::kMaxRowDims];
  ops::RowStrides strides[4];
  float eps;
};

struct Views {
  explicit Views(const NormForward& args)
      : y("y", args.y),
        x("x", args.x),
        weight("weight", args.weight),
        bias("bias", args.bias),
        residual("residual", args.residual),
        residual_out("residual_out", args.residual_out) {}
  ops::View y, x, weight, bias, residual, residual_out;
};

void check(const NormForward& args, const Views& views, bool with_data) {
  const auto& [y, x, weight, bias, residual, residual_out] = views;
  const char* const op = args.op;
  const ops::ViewRules input{.with_data = with_data}, output{.output = true, .with_data = with_data};
  ops::check_rows(op, x, with_data);
  ops::check_rows_like(op, y, x, false, output);
  SPRUE_CHECK(op, std::isfinite(args.eps) && args.eps >= 0, "eps must be finite and not negative, but is {}",
              args.eps);
  ops::check_in_place(op, y, x);
  if (weight.given()) ops::check_columns(op, weight, x, input);
  SPRUE_CHECK(op, weight.given() || !args.zero_centred_weight,
              "zero_centred_weight must not be set without a weight, but is");
  if (bias.given()) {
    SPRUE_CHECK(op, weight.given(), "bias must not be given without a weight, but is {}",
                bias.extents.print());
    ops::check_columns(op, bias, x, input);
    SPRUE_CHECK(op, bias.dtype == weight.dtype, "bias must have the dtype of weight, {}, but has {}",
                name_of(weight.dtype), name_of(bias.dtype));
  }
  if (residual.given()) ops::check_rows_like(op, residual, x, true, input);
  if (residual_out.given()) {
    SPRUE_CHECK(op, residual.given(), "residual_out must not be given without a residual, but is {}",
                residual_out.extents.print());
    ops::check_rows_like(op, residual_out, residual, false, output);
    ops::check_in_place(op, residual_out, residual);
    for (const ops::View* other : {&y, &x, &weight, &bias}) ops::check_apart(op, residual_out, *other);
  }
  for (const ops::View* other : {&weight, &bias, &residual}) ops::check_apart(op, y, *other);
}

NormForwardParams parameters(const NormForward& args) {
  NormForwardParams params{};
  params.y = args.y.data;
  params.x = args.x.data;
  params.residual = args.residual.data;
  params.residual_out = args.residual_out.data;
  params.weight = args.weight.data;
  params.bias = args.bias.data;
  params.rows = ops::count(args.op, args.x.extents, args.x.extents.rank - 1);
  params.eps = args.eps;
  return params;
}

/// What the kernel is specialised for.
struct Problem {
  DType scalar, weight_type, residual_type;
  std::int64_t hidden, alignment;
  int row_dims;
  bool centred, has_weight, has_bias, zero_centred, has_residual, has_residual_out;

  KernelKey key(int device) const {
    const auto at = [](auto value, int bit) { return static_cast<std::uint64_t>(value) << bit; };
    return {
        kernel_id(kKernel),
        device,
        {at(hidden, 0) | at(alignment, 32) | at(row_dims, 40),
         at(scalar, 0) | at(weight_type, 8) | at(residual_type, 16) | at(centred, 24) | at(has_weight, 25) |
             at(has_bias, 26) | at(zero_centred, 27) | at(has_residual, 28) | at(has_residual_out, 29)}};
  }
  Request request() const {
    const auto type = [](bool given, DType dtype) {
      return Value(std::string(given ? name_of(dtype) : std::string_view("none")));
    };
    return {kKernel,
            {{"SCALAR", std::string(name_of(scalar))},
             {"WEIGHT", type(has_weight, weight_type)},
             {"RESIDUAL", type(has_residual, residual_type)},
             {"HIDDEN", hidden},
             {"CENTRED", centred},
             {"HAS_BIAS", has_bias},
             {"ZERO_CENTRED", zero_centred},
             {"HAS_RESIDUAL_OUT", has_residual_out},
             {"ALIGNMENT", alignment},
             {"ROW_DIMS", std::int64_t{row_dims}}}};
  }
};

Problem specialise(const NormForward& args, const Views& views, NormForwardParams& params) {
  const auto& [y, x, weight, bias, residual, residual_out] = views;
  return {.scalar = x.dtype,
          .weight_type = weight.given() ? weight.dtype : DType{},
          .residual_type = residual.given() ? residual.dtype : DType{},
          .hidden = x.extent(x.extents.rank - 1),
          .alignment = ops::element_alignment(y, x, weight, bias, residual, residual_out),
          .row_dims = ops::merge_rows({&y.extents, &x.extents, &residual.extents, &residual_out.extents},
                                      params.extent, params.strides),
          .centred = args.centred,
          .has_weight = weight.given(),
          .has_bias = bias.given(),
          .zero_centred = args.zero_centred_weight,
          .has_residual = residual.given(),
          .has_residual_out = residual_out.given()};
}

}  // namespace

void norm_forward(Runtime& runtime, const NormForward& args, Stream stream) {
  const Views views(args);
  check(args, views, true);
  NormForwardParams params = parameters(args);
  if (params.rows == 0) return;
  const Problem problem = specialise(args, views, params);

  RuntimeImpl& impl = runtime.impl();
  const LoadedKernel& kernel =
      impl.kernel(problem.key(driver::current_device()), stream, [&] { return problem.request(); });
  impl.launch(
      kernel,
      ops::grid_size(args.op, params.rows, kernel.launch.rows_per_block, kernel.launch.blocks_per_row),
      stream, &params);
}

KernelInfo prepare(Runtime& runtime, const NormForward& args) {
  const Views views(args);
  check(args, views, false);
  NormForwardParams params = parameters(args);
  const Problem problem = specialise(args, views, params);
  return runtime.impl().prepare(problem.key(driver::current_device()), problem.request());
}

}  // namespace sprue
