// The losses of rows on their way to what the caller wants of them: as they are, or their mean or sum.
#pragma once

#include "ops/cross_entropy_sum.h"
#include "runtime/workspace.h"

namespace sprue::ops {

/// Where a kernel writes losses per row: the caller's tensors, or scratch memory until finish() adds them up.
class RowLosses {
 public:
  RowLosses(const char* op, RuntimeImpl& impl, const ConstTensor& labels, const LossOptions& options,
            std::int64_t total_classes, const Tensor& loss, const Tensor& z_loss, const Tensor& bad_labels,
            bool gradient, Stream stream)
      : op_(op),
        impl_(impl),
        stream_(stream),
        rows_(count(op, labels.extents, labels.extents.rank)),
        reduced_(options.reduction != Reduction::none),
        needs_count_(gradient && options.reduction == Reduction::mean),
        workspace_(impl.options().allocator, reduced_ ? bytes(z_loss.given()) : 0, stream),
        sum_{labels, options, total_classes} {
    auto* const scratch = static_cast<float*>(workspace_.data());
    losses = reduced_ ? scratch : static_cast<float*>(loss.data);
    z_losses = reduced_ && z_loss.given() ? scratch + rows_ : static_cast<float*>(z_loss.data);
    sum_.bad_labels = static_cast<int*>(bad_labels.data);
    if (needs_count_) inverse_count = scratch + (z_loss.given() ? 2 : 1) * rows_;
    if (!reduced_) return;
    sum_.losses = losses;
    sum_.z_losses = z_losses;
    sum_.loss = static_cast<float*>(loss.data);
    sum_.z_loss = static_cast<float*>(z_loss.data);
  }

  std::int64_t rows() const { return rows_; }

  /// Before the rows: counts labels, if the gradient of a mean needs that.
  void start() const {
    if (!needs_count_) return;
    CrossEntropySum counts{sum_.labels, sum_.options, sum_.total_classes};
    counts.inverse_count = inverse_count;
    cross_entropy_sum(op_, impl_, counts, stream_);
  }
  /// After them.
  void finish() const {
    if (reduced_ || sum_.bad_labels != nullptr) cross_entropy_sum(op_, impl_, sum_, stream_);
  }

  float *losses = nullptr, *z_losses = nullptr, *inverse_count = nullptr;

 private:
  std::size_t bytes(bool z_loss) const {
    return static_cast<std::size_t>((z_loss ? 2 : 1) * rows_ + (needs_count_ ? 1 : 0)) * sizeof(float);
  }

  const char* op_;
  RuntimeImpl& impl_;
  Stream stream_;
  std::int64_t rows_;
  bool reduced_, needs_count_;
  Workspace workspace_;
  CrossEntropySum sum_;
};

}  // namespace sprue::ops
