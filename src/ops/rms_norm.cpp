// rms_norm: check → specialise → launch. The kernel is kernel_templates/norm/rms_norm.cu; calls with long
// rows, or with more than a weight of x's dtype, go to norm_forward.cu.
#include <cmath>

#include "driver/device.h"
#include "ops/check.h"
#include "ops/norm_backward.h"
#include "ops/norm_forward.h"
#include "ops/rows.h"
#include "runtime/runtime_impl.h"
#include "sprue/ops.h"

namespace sprue {
namespace {

constexpr char kOp[] = "rms_norm";
constexpr std::int64_t kMaxHidden = 1 << 20;
constexpr std::int64_t kMaxPlainHidden = 16384;  // of rms_norm.json

/// The kernel's one argument, as the template declares it. Strides in elements.
struct RmsNormParams {
  void* y;
  const void* x;
  const void* weight;
  long long rows;
  long long extent[ops::kMaxRowDims];
  ops::RowStrides strides[2];  // x, y
  float eps;
};

/// What the kernel is specialised for.
struct RmsNormProblem {
  DType scalar;
  std::int64_t hidden, alignment;
  int row_dims;
  bool has_weight;

  KernelKey key(int device) const {
    const auto flags = static_cast<std::uint64_t>(scalar) | std::uint64_t{has_weight} << 8 |
                       static_cast<std::uint64_t>(row_dims) << 16 |
                       static_cast<std::uint64_t>(alignment) << 24;
    return {kernel_id(kOp), device, {static_cast<std::uint64_t>(hidden), flags}};
  }
  Request request() const {
    return {kOp,
            {{"SCALAR", std::string(name_of(scalar))},
             {"HIDDEN", hidden},
             {"HAS_WEIGHT", has_weight},
             {"ALIGNMENT", alignment},
             {"ROW_DIMS", std::int64_t{row_dims}}}};
  }
};

struct Views {
  explicit Views(const RmsNorm& args) : y("y", args.y), x("x", args.x), weight("weight", args.weight) {}
  ops::View y, x, weight;
};

void check(const Views& views, float eps, bool with_data) {
  const auto& [y, x, weight] = views;
  SPRUE_CHECK(kOp, x.extents.rank >= 1, "x must have 1 to {} dimensions [..., hidden], but is not given",
              kMaxRank);
  const std::int64_t hidden = x.extent(x.extents.rank - 1);
  SPRUE_CHECK(kOp, hidden >= 1, "hidden, the last extent of x, must be 1 to {}, but is {}", kMaxHidden,
              hidden);
  SPRUE_CHECK(kOp, ops::same_shape(y.extents, x.extents), "y must have the shape of x, {}, but has {}",
              x.extents.print(), y.extents.print());
  SPRUE_CHECK(kOp, y.dtype == x.dtype, "y must have the dtype of x, {}, but has {}", name_of(x.dtype),
              name_of(y.dtype));
  SPRUE_CHECK(kOp, is_float(x.dtype), "x must have dtype f32, f16 or bf16, but has {}", name_of(x.dtype));
  ops::check_view(kOp, x, {.with_data = with_data});
  ops::check_view(kOp, y, {.output = true, .with_data = with_data});
  ops::check_in_place(kOp, y, x);
  SPRUE_CHECK(kOp, std::isfinite(eps) && eps >= 0, "eps must be finite and not negative, but is {}", eps);
  if (!weight.given()) return;
  SPRUE_CHECK(kOp, weight.extents.rank == 1, "weight must have 1 dimension [hidden], but has {}",
              weight.extents.rank);
  SPRUE_CHECK(kOp, weight.extent(0) == hidden,
              "weight must have {} elements, the last extent of x, but has {}", hidden, weight.extent(0));
  ops::check_view(kOp, weight, {.with_data = with_data});
  ops::check_apart(kOp, y, weight);
}

RmsNormParams parameters(const RmsNorm& args) {
  RmsNormParams params{};
  params.y = args.y.data;
  params.x = args.x.data;
  params.weight = args.weight.data;
  params.rows = ops::count(kOp, args.x.extents, args.x.extents.rank - 1);
  params.eps = args.eps;
  return params;
}

RmsNormProblem specialise(const Views& views, RmsNormParams& params) {
  const auto& [y, x, weight] = views;
  return {.scalar = x.dtype,
          .hidden = x.extent(x.extents.rank - 1),
          .alignment = ops::alignment(y, x, weight),
          .row_dims = ops::merge_rows({&x.extents, &y.extents}, params.extent, params.strides),
          .has_weight = weight.given()};
}

bool is_plain(const RmsNorm& args) {
  const Extents& x = args.x.extents;
  if (x.rank >= 1 && x.shape[static_cast<std::size_t>(x.rank) - 1] > kMaxPlainHidden) return false;
  const auto none = [](const auto&... tensors) { return (!ops::given(tensors) && ...); };
  return none(args.bias, args.residual, args.residual_out, args.row_scale, args.column_scale,
              args.dropout_mask, args.x1, args.dropout_mask1, args.gate, args.y1, args.weight1, args.bias1,
              args.y_scale, args.y1_scale, args.y_row_scale, args.y1_row_scale, args.x_rows, args.y_rows) &&
         !args.zero_centred_weight && !args.gate_first && args.x_scale == 1 &&
         args.dropout.probability == 0 && (!ops::given(args.weight) || args.weight.dtype == args.x.dtype) &&
         args.y.dtype == args.x.dtype;
}

}  // namespace

void rms_norm(Runtime& runtime, const RmsNorm& args, Stream stream) {
  if (!is_plain(args)) return norm_forward(runtime, norm_forward_of(kOp, false, args), stream);
  const Views views(args);
  check(views, args.eps, true);
  RmsNormParams params = parameters(args);
  if (params.rows == 0) return;
  const RmsNormProblem problem = specialise(views, params);

  RuntimeImpl& impl = runtime.impl();
  const auto request = [&] { return problem.request(); };
  const LoadedKernel& kernel = impl.kernel(problem.key(driver::current_device()), stream, request);
  impl.launch(kernel, ops::grid_size(kOp, params.rows, kernel.launch.rows_per_block, 1), stream, &params);
}

KernelInfo prepare(Runtime& runtime, const RmsNorm& args) {
  if (!is_plain(args)) return prepare(runtime, norm_forward_of(kOp, false, args));
  const Views views(args);
  check(views, args.eps, false);
  RmsNormParams params = parameters(args);
  const RmsNormProblem problem = specialise(views, params);
  return runtime.impl().prepare(problem.key(driver::current_device()), problem.request());
}

void rms_norm_backward(Runtime& runtime, const RmsNormBackward& args, Stream stream) {
  norm_backward(runtime, norm_backward_of("rms_norm_backward", false, args), stream);
}

KernelInfo prepare(Runtime& runtime, const RmsNormBackward& args) {
  return prepare(runtime, norm_backward_of("rms_norm_backward", false, args));
}

}  // namespace sprue
