// The C API's cross entropy.
#include "c_api/convert.h"

namespace {

using namespace sprue;
using namespace sprue::c_api;

Reduction reduction_of(std::int32_t given) {
  if (given < SPRUE_REDUCTION_NONE || given > SPRUE_REDUCTION_SUM)
    throw ArgumentError(
        fmt::format("args.options.reduction must be a sprue_reduction, 0 to 2, but is {}", given));
  return static_cast<Reduction>(given);
}

LossOptions options_of(const sprue_loss_options& options) {
  return {.ignore_index = options.ignore_index,
          .label_smoothing = options.label_smoothing,
          .logit_scale = options.logit_scale,
          .softcap = options.softcap,
          .lse_square_scale = options.lse_square_scale,
          .reduction = reduction_of(options.reduction)};
}

CrossEntropy forward(const sprue_cross_entropy_args* given) {
  const sprue_cross_entropy_args args = read("args", given);
  return {.loss = tensor_of("args.loss", args.loss),
          .logits = tensor_of("args.logits", args.logits),
          .labels = tensor_of("args.labels", args.labels),
          .dlogits = tensor_of("args.dlogits", args.dlogits),
          .z_loss = tensor_of("args.z_loss", args.z_loss),
          .lse = tensor_of("args.lse", args.lse),
          .bad_labels = tensor_of("args.bad_labels", args.bad_labels),
          .precomputed_lse = tensor_of("args.precomputed_lse", args.precomputed_lse),
          .options = options_of(args.options)};
}

CrossEntropyBackward backward(const sprue_cross_entropy_backward_args* given) {
  const sprue_cross_entropy_backward_args args = read("args", given);
  return {.dlogits = tensor_of("args.dlogits", args.dlogits),
          .dloss = tensor_of("args.dloss", args.dloss),
          .logits = tensor_of("args.logits", args.logits),
          .labels = tensor_of("args.labels", args.labels),
          .lse = tensor_of("args.lse", args.lse),
          .class_start = args.class_start,
          .total_classes = args.total_classes,
          .options = options_of(args.options)};
}

CrossEntropyPartials partials(const sprue_cross_entropy_partials_args* given) {
  const sprue_cross_entropy_partials_args args = read("args", given);
  return {.partials = tensor_of("args.partials", args.partials),
          .logits = tensor_of("args.logits", args.logits),
          .labels = tensor_of("args.labels", args.labels),
          .class_start = args.class_start,
          .total_classes = args.total_classes,
          .options = options_of(args.options)};
}

CrossEntropyCombine combine(const sprue_cross_entropy_combine_args* given) {
  const sprue_cross_entropy_combine_args args = read("args", given);
  return {.loss = tensor_of("args.loss", args.loss),
          .partials = tensor_of("args.partials", args.partials),
          .labels = tensor_of("args.labels", args.labels),
          .total_classes = args.total_classes,
          .z_loss = tensor_of("args.z_loss", args.z_loss),
          .lse = tensor_of("args.lse", args.lse),
          .bad_labels = tensor_of("args.bad_labels", args.bad_labels),
          .options = options_of(args.options)};
}

}  // namespace

int sprue_cross_entropy(sprue_runtime* runtime, const sprue_cross_entropy_args* args, CUstream_st* stream) {
  return guarded([&] { cross_entropy(required("runtime", runtime).runtime, forward(args), stream); });
}

int sprue_prepare_cross_entropy(sprue_runtime* runtime, const sprue_cross_entropy_args* args) {
  return guarded([&] { prepare(required("runtime", runtime).runtime, forward(args)); });
}

int sprue_cross_entropy_backward(sprue_runtime* runtime, const sprue_cross_entropy_backward_args* args,
                                 CUstream_st* stream) {
  return guarded(
      [&] { cross_entropy_backward(required("runtime", runtime).runtime, backward(args), stream); });
}

int sprue_prepare_cross_entropy_backward(sprue_runtime* runtime,
                                         const sprue_cross_entropy_backward_args* args) {
  return guarded([&] { prepare(required("runtime", runtime).runtime, backward(args)); });
}

int sprue_cross_entropy_partials(sprue_runtime* runtime, const sprue_cross_entropy_partials_args* args,
                                 CUstream_st* stream) {
  return guarded(
      [&] { cross_entropy_partials(required("runtime", runtime).runtime, partials(args), stream); });
}

int sprue_prepare_cross_entropy_partials(sprue_runtime* runtime,
                                         const sprue_cross_entropy_partials_args* args) {
  return guarded([&] { prepare(required("runtime", runtime).runtime, partials(args)); });
}

int sprue_cross_entropy_combine(sprue_runtime* runtime, const sprue_cross_entropy_combine_args* args,
                                CUstream_st* stream) {
  return guarded([&] { cross_entropy_combine(required("runtime", runtime).runtime, combine(args), stream); });
}

int sprue_prepare_cross_entropy_combine(sprue_runtime* runtime,
                                        const sprue_cross_entropy_combine_args* args) {
  return guarded([&] { prepare(required("runtime", runtime).runtime, combine(args)); });
}
