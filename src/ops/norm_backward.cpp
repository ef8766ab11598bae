// norm_backward: check → specialise → launch. The kernels are kernel_templates/norm/norm_backward.cu and,
// where sums over rows are wanted, kernel_templates/reduce/column_sums.cu.
#include "ops/norm_backward.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "driver/device.h"
#include "ops/column_sums.h"
#include "ops/row_check.h"
#include "ops/rows.h"
#include "runtime/runtime_impl.h"

namespace sprue {
namespace {

constexpr std::int64_t kMaxHidden = 131072;  // what a cluster's registers hold of a row
constexpr char kKernel[] = "norm_backward";

/// The kernel's one argument, as the template declares it.
struct NormBackwardParams {
  void* dx;
  const void *dy, *z, *dresidual_out;
  void* dresidual;
  const void* weight;
  float *dweight_rows, *dbias_rows;
  long long rows, extent[ops::kMaxRowDims];
  ops::RowStrides strides[5];
  float eps;
};
struct Views {
  explicit Views(const NormBackward& args)
      : dx("dx", args.dx),
        dy("dy", args.dy),
        z("z", args.z),
        weight("weight", args.weight),
        dweight("dweight", args.dweight),
        dbias("dbias", args.dbias),
        dresidual_out("dresidual_out", args.dresidual_out),
        dresidual("dresidual", args.dresidual) {}
  ops::View dx, dy, z, weight, dweight, dbias, dresidual_out, dresidual;
};

void check_weights(const NormBackward& args, const Views& views, bool with_data) {
  const ops::View &dy = views.dy, &weight = views.weight;
  if (weight.given()) ops::check_columns(args.op, weight, dy, {.with_data = with_data});
  SPRUE_CHECK(args.op, weight.given() || !args.zero_centred_weight,
              "zero_centred_weight must not be set without a weight, but is");
  for (const ops::View* gradient : {&views.dweight, &views.dbias}) {
    if (!gradient->given()) continue;
    SPRUE_CHECK(args.op, weight.given(), "{} must not be given without a weight, but is {}", gradient->name,
                gradient->extents.print());
    ops::check_columns(args.op, *gradient, dy, {.output = true, .with_data = with_data});
    SPRUE_CHECK(args.op, gradient->dtype == weight.dtype, "{} must have the dtype of weight, {}, but has {}",
                gradient->name, name_of(weight.dtype), name_of(gradient->dtype));
  }
}

void check(const NormBackward& args, const Views& views, bool with_data) {
  const auto& [dx, dy, z, weight, dweight, dbias, dresidual_out, dresidual] = views;
  const char* const op = args.op;
  const ops::ViewRules input{.with_data = with_data}, output{.output = true, .with_data = with_data};
  ops::check_rows(op, dy, with_data);
  const std::int64_t hidden = dy.extent(dy.extents.rank - 1);
  SPRUE_CHECK(op, hidden <= kMaxHidden, "hidden, the last extent of dy, must be at most {}, but is {}",
              kMaxHidden, hidden);
  ops::check_rows_like(op, dx, dy, false, output);
  ops::check_rows_like(op, z, dy, true, input);
  SPRUE_CHECK(op, std::isfinite(args.eps) && args.eps >= 0, "eps must be finite and not negative, but is {}",
              args.eps);
  check_weights(args, views, with_data);
  if (dresidual_out.given()) ops::check_rows_like(op, dresidual_out, dy, true, input);
  if (dresidual.given()) ops::check_rows_like(op, dresidual, dy, true, output);
  SPRUE_CHECK(op, !dresidual.given() || !dresidual_out.given() || dresidual.dtype == dresidual_out.dtype,
              "dresidual must have the dtype of dresidual_out, {}, but has {}", name_of(dresidual_out.dtype),
              name_of(dresidual.dtype));

  ops::check_in_place(op, dx, dy);
  ops::check_in_place(op, dresidual, dresidual_out);
  for (const ops::View* other : {&z, &weight, &dresidual_out, &dresidual, &dweight, &dbias}) {
    ops::check_apart(op, dx, *other);
  }
  for (const ops::View* other : {&dy, &z, &weight, &dweight, &dbias}) ops::check_apart(op, dresidual, *other);
  for (const ops::View* other : {&dy, &z, &weight, &dresidual_out, &dbias})
    ops::check_apart(op, dweight, *other);
  for (const ops::View* other : {&dy, &z, &weight, &dresidual_out}) ops::check_apart(op, dbias, *other);
}

NormBackwardParams parameters(const NormBackward& args) {
  NormBackwardParams params{};
  params.dx = args.dx.data;
  params.dy = args.dy.data;
  params.z = args.z.data;
  params.dresidual_out = args.dresidual_out.data;
  params.dresidual = args.dresidual.data;
  params.weight = args.weight.data;
  params.rows = ops::count(args.op, args.dy.extents, args.dy.extents.rank - 1);
  params.eps = args.eps;
  return params;
}

/// What the kernels are specialised for.
struct Problem {
  DType scalar, z_type, weight_type, residual_type;
  std::int64_t hidden, alignment;
  int row_dims;
  bool centred, has_weight, zero_centred, has_residual, has_dresidual_out, has_dresidual, has_dweight,
      has_dbias;

  bool sums() const { return has_dweight || has_dbias; }

  KernelKey key(int device) const {
    const auto at = [](auto value, int bit) { return static_cast<std::uint64_t>(value) << bit; };
    return {
        kernel_id(kKernel),
        device,
        {at(hidden, 0) | at(alignment, 32) | at(row_dims, 40),
         at(scalar, 0) | at(z_type, 8) | at(weight_type, 16) | at(residual_type, 24) | at(centred, 32) |
             at(has_weight, 33) | at(zero_centred, 34) | at(has_residual, 35) | at(has_dresidual_out, 36) |
             at(has_dresidual, 37) | at(has_dweight, 38) | at(has_dbias, 39)}};
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
             {"ALIGNMENT", alignment},
             {"ROW_DIMS", std::int64_t{row_dims}}}};
  }
};

Problem specialise(const NormBackward& args, const Views& views, NormBackwardParams& params) {
  const auto& [dx, dy, z, weight, dweight, dbias, dresidual_out, dresidual] = views;
  const bool has_residual = dresidual_out.given() || dresidual.given();
  return {.scalar = dy.dtype,
          .z_type = z.dtype,
          .weight_type = weight.given() ? weight.dtype : DType{},
          .residual_type = dresidual.given() ? dresidual.dtype
                           : has_residual    ? dresidual_out.dtype
                                             : DType{},
          .hidden = dy.extent(dy.extents.rank - 1),
          .alignment = ops::element_alignment(dx, dy, z, weight, dresidual_out, dresidual),
          .row_dims = ops::merge_rows(
              {&dx.extents, &dy.extents, &z.extents, &dresidual_out.extents, &dresidual.extents},
              params.extent, params.strides),
          .centred = args.centred,
          .has_weight = weight.given(),
          .zero_centred = args.zero_centred_weight,
          .has_residual = has_residual,
          .has_dresidual_out = dresidual_out.given(),
          .has_dresidual = dresidual.given(),
          .has_dweight = dweight.given(),
          .has_dbias = dbias.given()};
}

/// As many blocks, or clusters of them, as run at once: each walks over rows and leaves one row of sums.
std::int64_t count_groups(const LoadedKernel& kernel, std::int64_t rows) {
  const std::int64_t at_once = std::int64_t{kernel.multiprocessors} *
                               std::max(1, kernel.blocks_per_multiprocessor) / kernel.launch.blocks_per_row;
  const std::int64_t most = (rows + kernel.launch.rows_per_block - 1) / kernel.launch.rows_per_block;
  return std::clamp<std::int64_t>(at_once, 1, std::max<std::int64_t>(most, 1));
}

}  // namespace

void norm_backward(Runtime& runtime, const NormBackward& args, Stream stream) {
  const Views views(args);
  check(args, views, true);
  NormBackwardParams params = parameters(args);
  const Problem problem = specialise(args, views, params);
  if (params.rows == 0 && !problem.sums()) return;

  RuntimeImpl& impl = runtime.impl();
  const int device = driver::current_device();
  const LoadedKernel& kernel = impl.kernel(problem.key(device), stream, [&] { return problem.request(); });
  std::optional<ops::ColumnSums> sums;
  if (problem.sums()) sums.emplace(impl, problem.weight_type, device, stream);

  const std::int64_t groups = params.rows == 0 ? 0 : count_groups(kernel, params.rows);
  if (sums) {
    sums->allocate(args.dweight, args.dbias, groups, problem.hidden);
    params.dweight_rows = sums->rows(0);
    params.dbias_rows = sums->rows(1);
  }
  if (groups != 0) {
    impl.launch(kernel, static_cast<unsigned>(groups * kernel.launch.blocks_per_row), stream, &params);
  }
  if (sums) sums->launch(args.op);
}

KernelInfo prepare(Runtime& runtime, const NormBackward& args) {
  const Views views(args);
  check(args, views, false);
  NormBackwardParams params = parameters(args);
  const Problem problem = specialise(args, views, params);
  const int device = driver::current_device();
  if (problem.sums()) ops::ColumnSums::prepare(runtime.impl(), problem.weight_type, device);
  return runtime.impl().prepare(problem.key(device), problem.request());
}

}  // namespace sprue
