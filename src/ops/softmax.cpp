// softmax: check → specialise → launch. The kernel is kernel_templates/softmax/softmax_forward.cu.
#include "sprue/ops/softmax.h"

#include "ops/row_check.h"
#include "ops/rows.h"
#include "ops/softmax_rows.h"

namespace sprue {
namespace {

constexpr char kOp[] = "softmax", kKernel[] = "softmax_forward";

/// The kernel's one argument, as the template declares it.
struct SoftmaxParams {
  void* y;
  const void *x, *mask;
  long long rows, extent[ops::kMaxRowDims];
  ops::RowStrides strides[3];
  float factor;
  int columns, queries;
};

struct Views {
  explicit Views(const Softmax& args) : y("y", args.y), x("x", args.x), mask("mask", args.mask) {}
  ops::View y, x, mask;
};

void check_mask(const ops::View& mask, const ops::View& x, bool with_data) {
  const int rank = x.extents.rank;
  SPRUE_CHECK(kOp, mask.dtype == DType::u8, "mask must have dtype u8, but has {}", name_of(mask.dtype));
  bool fits = mask.extents.rank == rank;
  for (int i = 0; fits && i < rank; ++i)
    fits = mask.extent(i) == x.extent(i) || (mask.extent(i) == 1 && i + 1 < rank);
  SPRUE_CHECK(kOp, fits, "mask must have the shape of x, {}, or extents of 1 but for the last, but has {}",
              x.extents.print(), mask.extents.print());
  ops::check_view(kOp, mask, {.with_data = with_data});
}

void check(const Softmax& args, const Views& views, bool with_data) {
  const auto& [y, x, mask] = views;
  ops::check_softmax(kOp, x, args.causal, args.scale, with_data);
  ops::check_rows_like(kOp, y, x, false, {.output = true, .with_data = with_data});
  ops::check_in_place(kOp, y, x);
  if (!mask.given()) return;
  check_mask(mask, x, with_data);
  ops::check_apart(kOp, y, mask);
}

/// The mask as if it had the shape of x.
Extents broadcast(const ops::View& mask, const ops::View& x) {
  Extents extents = mask.extents;
  for (int i = 0; i < extents.rank; ++i) {
    if (extents.shape[i] == 1) extents.stride[i] = 0;
    extents.shape[i] = x.extent(i);
  }
  return extents;
}

ops::SoftmaxProblem specialise(const Softmax& args, const Views& views, SoftmaxParams& params) {
  const auto& [y, x, mask] = views;
  constexpr double kLog2E = 1.4426950408889634;
  const std::int64_t columns = x.extent(x.extents.rank - 1);
  const Extents wide = broadcast(mask, x);
  params.y = args.y.data;
  params.x = args.x.data;
  params.mask = args.mask.data;
  params.rows = ops::count(kOp, x.extents, x.extents.rank - 1);
  params.factor = static_cast<float>(args.scale * kLog2E);
  params.columns = static_cast<int>(columns);
  params.queries = args.causal ? ops::queries_of(x) : 1;
  return {.kernel = kKernel,
          .id = kernel_id(kKernel),
          .scalar = x.dtype,
          .most_columns = ops::most_columns(columns),
          .alignment = ops::with_columns(ops::element_alignment(y, x, mask), columns),
          .row_dims = ops::merge_rows({&y.extents, &x.extents, &wide}, params.extent, params.strides),
          .has_mask = mask.given(),
          .causal = args.causal};
}

}  // namespace

void softmax(Runtime& runtime, const Softmax& args, Stream stream) {
  const Views views(args);
  check(args, views, true);
  SoftmaxParams params{};
  const ops::SoftmaxProblem problem = specialise(args, views, params);
  if (params.rows != 0) problem.launch(kOp, runtime.impl(), params.rows, &params, stream);
}

KernelInfo prepare(Runtime& runtime, const Softmax& args) {
  const Views views(args);
  check(args, views, false);
  SoftmaxParams params{};
  return specialise(args, views, params).prepare(runtime.impl());
}

}  // namespace sprue
