// cross_entropy_forward: specialise → launch. The kernel is
// kernel_templates/cross_entropy/cross_entropy_forward.cu.
#include "ops/cross_entropy_forward.h"

#include "driver/device.h"
#include "ops/cross_entropy_rows.h"

namespace sprue::ops {
namespace {

constexpr char kKernel[] = "cross_entropy_forward";

/// The kernel's one argument, as the template declares it.
struct ForwardParams {
  const void* logits;
  void* dlogits;
  const void *labels, *precomputed_lse, *inverse_count;
  void *loss, *z_loss, *lse, *partials;
  long long extent[kMaxRowDims];
  RowStrides strides[3];
  LossTerms terms;
  long long class_start;
  int classes;
};

struct Problem {
  DType scalar;
  std::uint64_t label_bytes;
  std::int64_t most_classes, vec;
  bool smoothing, softcap, gradient, precomputed, partials, few_rows;
  int row_dims;

  KernelKey key(int device) const {
    const auto at = [](auto value, int bit) { return static_cast<std::uint64_t>(value) << bit; };
    return {kernel_id(kKernel),
            device,
            {at(most_classes, 0) | at(vec, 32) | at(row_dims, 40),
             at(scalar, 0) | at(label_bytes, 8) | at(smoothing, 16) | at(softcap, 17) | at(gradient, 18) |
                 at(precomputed, 19) | at(partials, 20) | at(few_rows, 21)}};
  }
  Request request() const {
    return {kKernel,
            {{"SCALAR", std::string(name_of(scalar))},
             {"LABEL_BYTES", static_cast<std::int64_t>(label_bytes)},
             {"MOST_CLASSES", most_classes},
             {"VEC", vec},
             {"SMOOTHING", smoothing},
             {"SOFTCAP", softcap},
             {"GRADIENT", gradient},
             {"PRECOMPUTED", precomputed},
             {"PARTIALS", partials},
             {"ROW_DIMS", std::int64_t{row_dims}},
             {"FEW_ROWS", few_rows}}};
  }
};

Problem specialise(const char* op, const CrossEntropyForward& args, ForwardParams& params) {
  const View logits("logits", args.logits), dlogits("dlogits", args.dlogits);
  const Extents labels = as_rows(args.labels.extents);
  // The sum of t is part of what ranks exchange, wanted or not.
  return {.scalar = args.logits.dtype,
          .label_bytes = size_of(args.labels.dtype),
          .most_classes = most_classes(logits),
          .vec = vector_elements(logits, dlogits),
          .smoothing = args.has_partials || args.options.label_smoothing != 0,
          .softcap = args.options.softcap != 0,
          .gradient = dlogits.given(),
          .precomputed = args.has_precomputed_lse,
          .partials = args.has_partials,
          .few_rows = count(op, args.labels.extents, args.labels.extents.rank) <= kFewRows,
          .row_dims = merge_rows({&args.logits.extents, &args.dlogits.extents, &labels}, params.extent,
                                 params.strides)};
}

}  // namespace

void cross_entropy_forward(const char* op, RuntimeImpl& impl, const CrossEntropyForward& args,
                           Stream stream) {
  const Extents& logits = args.logits.extents;
  ForwardParams params{.logits = args.logits.data,
                       .dlogits = args.dlogits.data,
                       .labels = args.labels.data,
                       .precomputed_lse = args.precomputed_lse,
                       .inverse_count = args.inverse_count,
                       .loss = args.loss,
                       .z_loss = args.z_loss,
                       .lse = args.lse,
                       .partials = args.partials,
                       .extent = {},
                       .strides = {},
                       .terms = loss_terms(args.options, args.total_classes),
                       .class_start = args.class_start,
                       .classes = static_cast<int>(logits.shape[static_cast<std::size_t>(logits.rank - 1)])};
  const Problem problem = specialise(op, args, params);
  const LoadedKernel& kernel =
      impl.kernel(problem.key(driver::current_device()), stream, [&] { return problem.request(); });
  impl.launch(kernel, grid_size(op, count(op, logits, logits.rank - 1), kernel.launch.blocks_per_row), stream,
              &params);
}

KernelInfo prepare_cross_entropy_forward(const char* op, RuntimeImpl& impl, const CrossEntropyForward& args) {
  ForwardParams params{};
  const Problem problem = specialise(op, args, params);
  return impl.prepare(problem.key(driver::current_device()), problem.request());
}

}  // namespace sprue::ops
