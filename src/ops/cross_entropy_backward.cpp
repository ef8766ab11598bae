// cross_entropy_backward: check → specialise → launch. The kernels are
// kernel_templates/cross_entropy/cross_entropy_backward.cu and, to count labels for a mean,
// cross_entropy_sum.cu.
#include "driver/device.h"
#include "ops/cross_entropy_check.h"
#include "ops/cross_entropy_rows.h"
#include "ops/cross_entropy_sum.h"
#include "runtime/workspace.h"

namespace sprue {
namespace {

constexpr char kOp[] = "cross_entropy_backward";

/// The kernel's one argument, as the template declares it.
struct BackwardParams {
  const void* logits;
  void* dlogits;
  const void *labels, *lse, *dloss, *inverse_count;
  long long extent[ops::kMaxRowDims];
  ops::RowStrides strides[4];
  ops::LossTerms terms;
  long long class_start;
  int classes;
};

/// Returns the number of classes of all ranks.
std::int64_t check(const CrossEntropyBackward& args, bool with_data) {
  const ops::View dlogits("dlogits", args.dlogits), dloss("dloss", args.dloss), logits("logits", args.logits),
      labels("labels", args.labels), lse("lse", args.lse);
  ops::check_loss_options(kOp, args.options);
  ops::check_logits(kOp, logits, with_data);
  ops::check_dlogits(kOp, dlogits, logits, with_data);
  ops::check_labels(kOp, labels, with_data);
  ops::check_one_label_per_row(kOp, labels, logits);
  ops::check_per_row(kOp, lse, labels, {.with_data = with_data});
  SPRUE_CHECK(kOp, dloss.dtype == DType::f32, "dloss must have dtype f32, but has {}", name_of(dloss.dtype));
  if (args.options.reduction == Reduction::none) {
    SPRUE_CHECK(kOp, ops::same_shape(dloss.extents, labels.extents),
                "dloss must have the shape of labels, {}, but has {}", labels.extents.print(),
                dloss.extents.print());
  } else {
    SPRUE_CHECK(kOp, dloss.extents.rank == 1 && dloss.extent(0) == 1,
                "dloss must be [1] for a mean or sum, but is {}", dloss.extents.print());
  }
  ops::check_view(kOp, dloss, {.contiguous_rows = false, .with_data = with_data});
  for (const ops::View* input : {&dloss, &labels, &lse}) ops::check_apart(kOp, dlogits, *input);
  return ops::check_classes(kOp, logits, args.class_start, args.total_classes);
}

/// What the kernel is specialised for.
struct Problem {
  DType scalar;
  std::uint64_t label_bytes;
  std::int64_t most_classes, vec;
  bool softcap;
  int row_dims;

  KernelKey key(int device) const {
    const auto at = [](auto value, int bit) { return static_cast<std::uint64_t>(value) << bit; };
    return {kernel_id(kOp),
            device,
            {at(most_classes, 0) | at(vec, 32) | at(row_dims, 40),
             at(scalar, 0) | at(label_bytes, 8) | at(softcap, 16)}};
  }
  Request request() const {
    return {kOp,
            {{"SCALAR", std::string(name_of(scalar))},
             {"LABEL_BYTES", static_cast<std::int64_t>(label_bytes)},
             {"MOST_CLASSES", most_classes},
             {"VEC", vec},
             {"SOFTCAP", softcap},
             {"ROW_DIMS", std::int64_t{row_dims}}}};
  }
};

Problem specialise(const CrossEntropyBackward& args, BackwardParams& params) {
  const ops::View logits("logits", args.logits), dlogits("dlogits", args.dlogits);
  const Extents labels = ops::as_rows(args.labels.extents);
  const Extents dloss = args.options.reduction == Reduction::none ? ops::as_rows(args.dloss.extents)
                                                                  : ops::same_for_all(args.labels.extents);
  return {.scalar = args.logits.dtype,
          .label_bytes = size_of(args.labels.dtype),
          .most_classes = ops::most_classes(logits),
          .vec = ops::vector_elements(logits, dlogits),
          .softcap = args.options.softcap != 0,
          .row_dims = ops::merge_rows({&args.logits.extents, &args.dlogits.extents, &labels, &dloss},
                                      params.extent, params.strides)};
}

}  // namespace

void cross_entropy_backward(Runtime& runtime, const CrossEntropyBackward& args, Stream stream) {
  const std::int64_t total_classes = check(args, true);
  const Extents& logits = args.logits.extents;
  const std::int64_t rows = ops::count(kOp, logits, logits.rank - 1);
  if (rows == 0) return;
  RuntimeImpl& impl = runtime.impl();
  const bool mean = args.options.reduction == Reduction::mean;
  const Workspace inverse_count(impl.options().allocator, mean ? sizeof(float) : 0, stream);
  BackwardParams params{.logits = args.logits.data,
                        .dlogits = args.dlogits.data,
                        .labels = args.labels.data,
                        .lse = args.lse.data,
                        .dloss = args.dloss.data,
                        .inverse_count = inverse_count.data(),
                        .extent = {},
                        .strides = {},
                        .terms = ops::loss_terms(args.options, total_classes),
                        .class_start = args.class_start,
                        .classes = static_cast<int>(logits.shape[static_cast<std::size_t>(logits.rank - 1)])};
  const Problem problem = specialise(args, params);
  const LoadedKernel& kernel =
      impl.kernel(problem.key(driver::current_device()), stream, [&] { return problem.request(); });
  const unsigned grid = ops::grid_size(kOp, rows, kernel.launch.blocks_per_row);
  if (mean) {
    ops::CrossEntropySum counts{args.labels, args.options, total_classes};
    counts.inverse_count = static_cast<float*>(inverse_count.data());
    ops::cross_entropy_sum(kOp, impl, counts, stream);
  }
  impl.launch(kernel, grid, stream, &params);
}

KernelInfo prepare(Runtime& runtime, const CrossEntropyBackward& args) {
  check(args, false);
  RuntimeImpl& impl = runtime.impl();
  if (args.options.reduction == Reduction::mean) ops::prepare_cross_entropy_sum(impl, args.labels);
  BackwardParams params{};
  const Problem problem = specialise(args, params);
  return impl.prepare(problem.key(driver::current_device()), problem.request());
}

}  // namespace sprue
