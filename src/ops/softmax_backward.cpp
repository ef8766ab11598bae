// softmax_backward: check → specialise → launch. The kernel is kernel_templates/softmax/softmax_backward.cu.
#include "ops/row_check.h"
#include "ops/rows.h"
#include "ops/softmax_rows.h"
#include "sprue/ops/softmax.h"

namespace sprue {
namespace {

constexpr char kOp[] = "softmax_backward", kKernel[] = "softmax_backward";

/// The kernel's one argument, as the template declares it.
struct SoftmaxBackwardParams {
  void* dx;
  const void *dy, *y;
  long long rows, extent[ops::kMaxRowDims];
  ops::RowStrides strides[3];
  float scale;
  int columns, queries;
};

struct Views {
  explicit Views(const SoftmaxBackward& args) : dx("dx", args.dx), dy("dy", args.dy), y("y", args.y) {}
  ops::View dx, dy, y;
};

void check(const SoftmaxBackward& args, const Views& views, bool with_data) {
  const auto& [dx, dy, y] = views;
  ops::check_softmax(kOp, y, args.causal, args.scale, with_data);
  ops::check_rows_like(kOp, dy, y, false, {.with_data = with_data});
  ops::check_rows_like(kOp, dx, y, false, {.output = true, .with_data = with_data});
  for (const ops::View* input : {&dy, &y}) ops::check_in_place(kOp, dx, *input);
}

ops::SoftmaxProblem specialise(const SoftmaxBackward& args, const Views& views,
                               SoftmaxBackwardParams& params) {
  const auto& [dx, dy, y] = views;
  const std::int64_t columns = y.extent(y.extents.rank - 1);
  params.dx = args.dx.data;
  params.dy = args.dy.data;
  params.y = args.y.data;
  params.rows = ops::count(kOp, y.extents, y.extents.rank - 1);
  params.scale = args.scale;
  params.columns = static_cast<int>(columns);
  params.queries = args.causal ? ops::queries_of(y) : 1;
  return {.kernel = kKernel,
          .id = kernel_id(kKernel),
          .scalar = y.dtype,
          .most_columns = ops::most_columns(columns),
          .alignment = ops::with_columns(ops::element_alignment(dx, dy, y), columns),
          .row_dims = ops::merge_rows({&dx.extents, &dy.extents, &y.extents}, params.extent, params.strides),
          .has_mask = false,
          .causal = args.causal};
}

}  // namespace

void softmax_backward(Runtime& runtime, const SoftmaxBackward& args, Stream stream) {
  const Views views(args);
  check(args, views, true);
  SoftmaxBackwardParams params{};
  const ops::SoftmaxProblem problem = specialise(args, views, params);
  if (params.rows != 0) problem.launch(kOp, runtime.impl(), params.rows, &params, stream);
}

KernelInfo prepare(Runtime& runtime, const SoftmaxBackward& args) {
  const Views views(args);
  check(args, views, false);
  SoftmaxBackwardParams params{};
  return specialise(args, views, params).prepare(runtime.impl());
}

}  // namespace sprue
