#include "ops/cross_entropy_call.h"

#include <fmt/format.h>

#include <cmath>
#include <numeric>

#include "driver/device.h"
#include "reference/compare.h"
#include "reference/random.h"
#include "sprue/ops.h"

namespace sprue::test {
namespace {

std::string told(const char* name, const DeviceTensor& tensor, const reference::Comparison& comparison) {
  if (!tensor.intact()) return fmt::format("{}: something was written outside of it; ", name);
  return comparison.passed() ? "" : fmt::format("{}: {}; ", name, comparison.print());
}

std::vector<float> as_floats(const std::vector<double>& values) {
  return {values.begin(), values.end()};
}

}  // namespace

std::int64_t CrossEntropyCase::rows() const {
  return Extents(row_shape()).elements();
}

std::string CrossEntropyCase::print() const {
  return fmt::format(
      "{} {}, labels {}, reduction {}, smoothing {}, scale {}, softcap {}, z {}{}{}{}, offset {} and {}",
      Extents(shape).print(), name_of(dtype), name_of(label_type), static_cast<int>(options.reduction),
      options.label_smoothing, options.logit_scale, options.softcap, options.lse_square_scale,
      gradient ? ", gradient" : "", in_place ? ", in place" : "", precomputed ? ", precomputed" : "",
      layout.offset, gradient_layout.offset);
}

CrossEntropyCall::CrossEntropyCall(const CrossEntropyCase& given) : case_(given) {
  const CrossEntropyCase& c = case_;
  logit_values_ = reference::random_normal(c.rows() * c.classes(), 1, c.dtype, c.deviation);
  const auto random = reference::random_normal(c.rows(), 2, DType::f32, 1e6f);
  for (const float value : random) {
    // Every seventh label is ignored.
    label_values_.push_back(label_values_.size() % 7 == 3
                                ? c.options.ignore_index
                                : std::abs(static_cast<std::int64_t>(value)) % c.classes());
  }
  const bool none = c.options.reduction == Reduction::none;
  const auto row_shape = c.row_shape();
  const std::vector<std::int64_t> loss_shape = none ? row_shape : std::vector<std::int64_t>{1};
  logits_.emplace(c.dtype, c.shape, c.layout);
  dlogits_.emplace(c.dtype, c.shape, c.in_place ? c.layout : c.gradient_layout);
  labels_.emplace(c.label_type, row_shape, Layout{.padding = 1, .offset = 1});
  loss_.emplace(DType::f32, loss_shape);
  z_loss_.emplace(DType::f32, loss_shape);
  lse_.emplace(DType::f32, row_shape);
  bad_labels_.emplace(DType::i32, std::vector<std::int64_t>{1});
  dloss_.emplace(DType::f32, loss_shape);
  labels_->write(std::vector<float>(label_values_.begin(), label_values_.end()));
  dloss_values_ = reference::random_normal(none ? c.rows() : 1, 3, DType::f32);
  dloss_->write(dloss_values_);
}

reference::CrossEntropyInputs CrossEntropyCall::inputs() const {
  return {.rows = case_.rows(),
          .classes = case_.classes(),
          .logits = logit_values_,
          .labels = label_values_,
          .options = case_.options};
}

/// The gradient with respect to each row's loss.
std::vector<float> CrossEntropyCall::dloss_of_rows(float dloss) const {
  const auto rows = static_cast<std::size_t>(case_.rows());
  if (case_.options.reduction == Reduction::mean)
    dloss /= static_cast<float>(reference::counted_labels(inputs()));
  return std::vector<float>(rows, dloss);
}

std::vector<double> CrossEntropyCall::reduced(const std::vector<double>& losses) const {
  if (case_.options.reduction == Reduction::none) return losses;
  const double sum = std::accumulate(losses.begin(), losses.end(), 0.0);
  if (case_.options.reduction == Reduction::sum) return {sum};
  return {sum / static_cast<double>(reference::counted_labels(inputs()))};
}

std::string CrossEntropyCall::losses_fault(const reference::CrossEntropyResult<double>& truth) const {
  const auto naive = reference::naive_cross_entropy(inputs(), dloss_of_rows(1), case_.dtype);
  const auto check_loss = [&](const char* name, const DeviceTensor& tensor, const std::vector<double>& wanted,
                              const std::vector<float>& first_attempt) {
    if (case_.options.reduction == Reduction::none)
      return told(name, tensor, reference::compare(tensor.read(), wanted, first_attempt));
    const std::vector<double> total = reduced(wanted);  // as exact as f32 holds it, but for a few roundings
    return told(name, tensor, reference::compare(tensor.read(), total, 1e-5 + 1e-6 * std::abs(total[0])));
  };
  std::string fault = check_loss("loss", *loss_, truth.loss, naive.loss) +
                      check_loss("z_loss", *z_loss_, truth.z_loss, naive.z_loss) +
                      told("lse", *lse_, reference::compare(lse_->read(), truth.lse, naive.lse));
  if (bad_labels_->read() != std::vector<float>{0}) fault += "bad_labels is not 0; ";
  return fault;
}

std::string CrossEntropyCall::gradient_fault(const DeviceTensor& dlogits,
                                             std::span<const float> dloss) const {
  const auto truth = reference::cross_entropy(inputs(), dloss);
  const auto naive = reference::naive_cross_entropy(inputs(), dloss, case_.dtype);
  return told("dlogits", dlogits, reference::compare_gradient(dlogits.read(), truth.dlogits, naive.dlogits));
}

std::string CrossEntropyCall::forward_fault(Runtime& runtime) {
  const CrossEntropyCase& c = case_;
  const auto truth = reference::cross_entropy(inputs(), dloss_of_rows(1));
  DeviceTensor precomputed(DType::f32, c.row_shape());
  precomputed.write(as_floats(truth.lse));
  logits_->write(logit_values_);
  for (auto* tensor : {&dlogits_, &loss_, &z_loss_, &lse_, &bad_labels_}) (*tensor)->poison();
  CrossEntropy args{.loss = loss_->tensor(),
                    .logits = logits_->tensor(),
                    .labels = labels_->tensor(),
                    .z_loss = z_loss_->tensor(),
                    .lse = lse_->tensor(),
                    .bad_labels = bad_labels_->tensor(),
                    .options = c.options};
  if (c.gradient) args.dlogits = c.in_place ? logits_->tensor() : dlogits_->tensor();
  if (c.precomputed) args.precomputed_lse = precomputed.tensor();
  cross_entropy(runtime, args);
  driver::synchronize_device();
  std::string fault = losses_fault(truth);
  if (c.gradient) fault += gradient_fault(c.in_place ? *logits_ : *dlogits_, dloss_of_rows(1));
  return fault;
}

std::string CrossEntropyCall::backward_fault(Runtime& runtime) {
  const CrossEntropyCase& c = case_;
  const std::vector<float> dloss =
      c.options.reduction == Reduction::none ? dloss_values_ : dloss_of_rows(dloss_values_.at(0));
  logits_->write(logit_values_);
  lse_->write(as_floats(reference::cross_entropy(inputs(), dloss).lse));
  dlogits_->poison();
  cross_entropy_backward(runtime, {.dlogits = c.in_place ? logits_->tensor() : dlogits_->tensor(),
                                   .dloss = dloss_->tensor(),
                                   .logits = logits_->tensor(),
                                   .labels = labels_->tensor(),
                                   .lse = lse_->tensor(),
                                   .options = c.options});
  driver::synchronize_device();
  return gradient_fault(c.in_place ? *logits_ : *dlogits_, dloss);
}

std::string CrossEntropyCall::split_fault(Runtime& runtime, std::int64_t ranks) {
  const CrossEntropyCase& c = case_;
  const std::int64_t share = c.classes() / ranks;
  const auto of_rank = [&](const DeviceTensor& all, std::int64_t rank) {
    Tensor part = all.tensor();
    part.data = static_cast<char*>(part.data) + rank * share * static_cast<std::int64_t>(size_of(c.dtype));
    part.extents.shape[static_cast<std::size_t>(part.extents.rank - 1)] = share;
    return part;
  };
  std::vector<std::int64_t> shape = c.row_shape();
  shape.insert(shape.begin(), ranks);
  shape.push_back(3);
  const DeviceTensor partials(DType::f32, shape);
  logits_->write(logit_values_);
  for (auto* tensor : {&dlogits_, &loss_, &z_loss_, &lse_, &bad_labels_}) (*tensor)->poison();
  LossOptions unreduced = c.options;
  unreduced.reduction = Reduction::none;
  for (std::int64_t rank = 0; rank < ranks; ++rank) {
    Tensor part = partials.tensor();
    part.data = static_cast<float*>(part.data) + rank * c.rows() * 3;
    shape.erase(shape.begin());
    part.extents = Extents(shape);
    shape.insert(shape.begin(), ranks);
    cross_entropy_partials(runtime, {.partials = part,
                                     .logits = of_rank(*logits_, rank),
                                     .labels = labels_->tensor(),
                                     .class_start = rank * share,
                                     .total_classes = c.classes(),
                                     .options = unreduced});
  }
  cross_entropy_combine(runtime, {.loss = loss_->tensor(),
                                  .partials = partials.tensor(),
                                  .labels = labels_->tensor(),
                                  .total_classes = c.classes(),
                                  .z_loss = z_loss_->tensor(),
                                  .lse = lse_->tensor(),
                                  .bad_labels = bad_labels_->tensor(),
                                  .options = c.options});
  const std::vector<float> dloss =
      c.options.reduction == Reduction::none ? dloss_values_ : dloss_of_rows(dloss_values_.at(0));
  for (std::int64_t rank = 0; rank < ranks; ++rank) {
    cross_entropy_backward(runtime, {.dlogits = of_rank(c.in_place ? *logits_ : *dlogits_, rank),
                                     .dloss = dloss_->tensor(),
                                     .logits = of_rank(*logits_, rank),
                                     .labels = labels_->tensor(),
                                     .lse = lse_->tensor(),
                                     .class_start = rank * share,
                                     .total_classes = c.classes(),
                                     .options = c.options});
  }
  driver::synchronize_device();
  return losses_fault(reference::cross_entropy(inputs(), dloss)) +
         gradient_fault(c.in_place ? *logits_ : *dlogits_, dloss);
}

std::vector<std::byte> CrossEntropyCall::bytes() const {
  std::vector<std::byte> bytes;
  for (const auto* tensor : {&dlogits_, &loss_, &z_loss_, &lse_}) {
    const auto some = (*tensor)->read_bytes();
    bytes.insert(bytes.end(), some.begin(), some.end());
  }
  return bytes;
}

}  // namespace sprue::test
