// cross_entropy_combine: check → specialise → launch. The kernels are
// kernel_templates/cross_entropy/cross_entropy_combine.cu and, for means, sums and bad_labels,
// cross_entropy_sum.cu.
#include <iterator>

#include "driver/device.h"
#include "ops/cross_entropy_check.h"
#include "ops/cross_entropy_loss.h"
#include "ops/cross_entropy_rows.h"

namespace sprue {
namespace {

constexpr char kOp[] = "cross_entropy_combine";

/// The kernel's one argument, as the template declares it.
struct CombineParams {
  const void* partials;
  const void* labels;
  void *loss, *z_loss, *lse;
  long long rows, extent[ops::kMaxRowDims];
  ops::RowStrides strides[1];
  ops::LossTerms terms;
  int ranks;
};

/// [ranks, ..., 3]
void check_partials(const ops::View& partials, const ops::View& labels, bool with_data) {
  const Extents& extents = partials.extents;
  SPRUE_CHECK(kOp, partials.dtype == DType::f32, "partials must have dtype f32, but has {}",
              name_of(partials.dtype));
  bool fits = extents.rank == labels.extents.rank + 2 && partials.extent(extents.rank - 1) == 3;
  for (int i = 0; fits && i < labels.extents.rank; ++i) fits = partials.extent(i + 1) == labels.extent(i);
  SPRUE_CHECK(kOp, fits,
              "partials must be [ranks, ..., 3] with the shape of labels, {}, in between, but is {}",
              labels.extents.print(), extents.print());
  SPRUE_CHECK(kOp, partials.extent(0) >= 1 && partials.extent(0) <= 65536,
              "ranks, the first extent of partials, must be 1 to 65536, but is {}", partials.extent(0));
  SPRUE_CHECK(kOp, partials.empty() || extents.contiguous(), "partials must be contiguous, but is not");
  ops::check_view(kOp, partials, {.with_data = with_data});
}

void check(const CrossEntropyCombine& args, bool with_data) {
  const ops::View loss("loss", args.loss), partials("partials", args.partials), labels("labels", args.labels),
      z_loss("z_loss", args.z_loss), lse("lse", args.lse), bad_labels("bad_labels", args.bad_labels);
  ops::check_loss_options(kOp, args.options);
  SPRUE_CHECK(kOp, args.total_classes >= 1, "total_classes must be the classes of all ranks, but is {}",
              args.total_classes);
  ops::check_labels(kOp, labels, with_data);
  check_partials(partials, labels, with_data);
  ops::check_loss(kOp, loss, labels, args.options.reduction, with_data);
  if (z_loss.given()) ops::check_loss(kOp, z_loss, labels, args.options.reduction, with_data);
  if (lse.given()) ops::check_per_row(kOp, lse, labels, {.output = true, .with_data = with_data});
  if (bad_labels.given()) ops::check_bad_labels(kOp, bad_labels, with_data);
  const ops::View* const outputs[] = {&loss, &z_loss, &lse, &bad_labels};
  for (auto a = std::begin(outputs); a != std::end(outputs); ++a) {
    const ops::View* const output = *a;
    for (auto b = a + 1; b != std::end(outputs); ++b) ops::check_apart(kOp, *output, **b);
    ops::check_apart(kOp, *output, partials);
    ops::check_apart(kOp, *output, labels);
  }
}

struct Problem {
  std::uint64_t label_bytes;
  int row_dims;

  KernelKey key(int device) const {
    return {kernel_id(kOp), device, {label_bytes | static_cast<std::uint64_t>(row_dims) << 8, 0}};
  }
  Request request() const {
    return {kOp,
            {{"LABEL_BYTES", static_cast<std::int64_t>(label_bytes)}, {"ROW_DIMS", std::int64_t{row_dims}}}};
  }
};

Problem specialise(const CrossEntropyCombine& args, CombineParams& params) {
  const Extents labels = ops::as_rows(args.labels.extents);
  return {size_of(args.labels.dtype), ops::merge_rows({&labels}, params.extent, params.strides)};
}

}  // namespace

void cross_entropy_combine(Runtime& runtime, const CrossEntropyCombine& args, Stream stream) {
  check(args, true);
  RuntimeImpl& impl = runtime.impl();
  const ops::RowLosses rows(kOp, impl, args.labels, args.options, args.total_classes, args.loss, args.z_loss,
                            args.bad_labels, false, stream);
  if (rows.rows() != 0) {
    CombineParams params{.partials = args.partials.data,
                         .labels = args.labels.data,
                         .loss = rows.losses,
                         .z_loss = rows.z_losses,
                         .lse = args.lse.data,
                         .rows = rows.rows(),
                         .extent = {},
                         .strides = {},
                         .terms = ops::loss_terms(args.options, args.total_classes),
                         .ranks = static_cast<int>(args.partials.extents.shape[0])};
    const Problem problem = specialise(args, params);
    const LoadedKernel& kernel =
        impl.kernel(problem.key(driver::current_device()), stream, [&] { return problem.request(); });
    impl.launch(kernel, ops::grid_size(kOp, rows.rows(), kernel.launch.rows_per_block, 1), stream, &params);
  }
  rows.finish();
}

KernelInfo prepare(Runtime& runtime, const CrossEntropyCombine& args) {
  check(args, false);
  RuntimeImpl& impl = runtime.impl();
  if (args.options.reduction != Reduction::none || ops::given(args.bad_labels))
    ops::prepare_cross_entropy_sum(impl, args.labels);
  CombineParams params{};
  const Problem problem = specialise(args, params);
  return impl.prepare(problem.key(driver::current_device()), problem.request());
}

}  // namespace sprue
