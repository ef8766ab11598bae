// cross_entropy_sum: specialise → launch. The kernel is kernel_templates/cross_entropy/cross_entropy_sum.cu.
#include "ops/cross_entropy_sum.h"

#include "driver/device.h"
#include "ops/cross_entropy_rows.h"

namespace sprue::ops {
namespace {

constexpr char kKernel[] = "cross_entropy_sum";

/// The kernel's one argument, as the template declares it.
struct SumParams {
  const void* labels;
  const float *losses, *z_losses;
  float *loss, *z_loss, *inverse_count;
  int* bad_labels;
  long long rows, extent[kMaxRowDims];
  RowStrides strides[1];
  long long ignore_index, total_classes;
  int mean;
};

struct Problem {
  std::uint64_t label_bytes;
  int row_dims;

  KernelKey key(int device) const {
    return {kernel_id(kKernel), device, {label_bytes | static_cast<std::uint64_t>(row_dims) << 8, 0}};
  }
  Request request() const {
    return {kKernel,
            {{"LABEL_BYTES", static_cast<std::int64_t>(label_bytes)}, {"ROW_DIMS", std::int64_t{row_dims}}}};
  }
};

Problem specialise(const ConstTensor& labels, SumParams& params) {
  const Extents rows = as_rows(labels.extents);
  return {size_of(labels.dtype), merge_rows({&rows}, params.extent, params.strides)};
}

}  // namespace

void cross_entropy_sum(const char* op, RuntimeImpl& impl, const CrossEntropySum& args, Stream stream) {
  SumParams params{.labels = args.labels.data,
                   .losses = args.losses,
                   .z_losses = args.z_losses,
                   .loss = args.loss,
                   .z_loss = args.z_loss,
                   .inverse_count = args.inverse_count,
                   .bad_labels = args.bad_labels,
                   .rows = count(op, args.labels.extents, args.labels.extents.rank),
                   .extent = {},
                   .strides = {},
                   .ignore_index = args.options.ignore_index,
                   .total_classes = args.total_classes,
                   .mean = args.options.reduction == Reduction::mean};
  const Problem problem = specialise(args.labels, params);
  const LoadedKernel& kernel =
      impl.kernel(problem.key(driver::current_device()), stream, [&] { return problem.request(); });
  impl.launch(kernel, 1, stream, &params);
}

void prepare_cross_entropy_sum(RuntimeImpl& impl, const ConstTensor& labels) {
  SumParams params{};
  const Problem problem = specialise(labels, params);
  impl.prepare(problem.key(driver::current_device()), problem.request());
}

}  // namespace sprue::ops
