// Cross entropy of logits and labels, forward and backward. sprue/ops.h says what holds for all operators.
#pragma once

#include <cstdint>

#include "sprue/runtime.h"
#include "sprue/tensor.h"

namespace sprue {

/// What becomes of the losses of a batch's rows. mean divides by the number of labels that are not ignored; where there
/// is none it is NaN.
enum class Reduction : std::uint8_t { none, mean, sum };

/// What all calls about one loss must be given alike. V is the number of classes, of all ranks together, and t are the
/// logits as they count: with x = logit_scale * logits[..., :],
///
///   t = x,   or   t = softcap * tanh(x / softcap) if softcap is not 0
///   lse = log(sum(exp(t)))
///   z_loss = lse_square_scale * lse^2
///   loss = lse - (1 - label_smoothing) * t[label] - label_smoothing * sum(t) / V + z_loss
///
/// Labels live on the GPU, so that no exception can come of them. A row whose label is ignore_index is not read: its
/// loss, z_loss, lse and gradient are 0. Any other label outside of [0, V) makes loss and gradient of its row NaN; no
/// memory is read at it, and bad_labels counts it.
///
/// A logit of -inf is a class of probability 0: its gradient is 0 but for smoothing, and a loss that depends on it is
/// +inf. Logits of which one is NaN or +inf, or all are -inf, make loss and gradient of their row NaN; lse is NaN, or
/// -inf if all are. With softcap infinite logits count as plus and minus softcap.
struct LossOptions {
  std::int64_t ignore_index = -100;
  float label_smoothing = 0;   ///< 0 to 1.
  float logit_scale = 1;
  float softcap = 0;           ///< 0: none.
  float lse_square_scale = 0;  ///< Not negative.
  Reduction reduction = Reduction::mean;
};

/// The loss above, and with dlogits its gradient in the same pass over the logits:
///
///   dlogits = ((1 + 2 * lse_square_scale * lse) * softmax(t) - (1 - label_smoothing) * onehot(label)
///             - label_smoothing / V) * logit_scale * (1 - (t / softcap)^2 if there is one),   / count for the mean
///
/// All arithmetic is f32, and all results have the same bits in every repetition. mean and sum take scratch memory, two
/// floats per row at most, from the allocator of the runtime's options.
struct CrossEntropy {
  Tensor loss;                       ///< f32, contiguous: [...] for Reduction::none, else [1].
  ConstTensor logits;                ///< [..., classes], f32 | f16 | bf16; classes <= 2^24.
  ConstTensor labels;                ///< [...], i32 | i64.
  Tensor dlogits = {};               ///< Shape and dtype of logits; may be logits itself. Omit if not wanted, as all below.
  Tensor z_loss = {};                ///< As loss.
  Tensor lse = {};                   ///< [...], f32, contiguous.
  Tensor bad_labels = {};            ///< [1], i32: the number of labels that are neither a class nor ignored.
  ConstTensor precomputed_lse = {};  ///< [...], f32, contiguous: of another call's lse. Without smoothing and gradient no
                                     ///< logit but the label's is read then.
  LossOptions options = {};
};
SPRUE_API void cross_entropy(Runtime& runtime, const CrossEntropy& args, Stream stream = nullptr);
SPRUE_API KernelInfo prepare(Runtime& runtime, const CrossEntropy& args);

/// dlogits of CrossEntropy times dloss, the gradient with respect to loss.
struct CrossEntropyBackward {
  Tensor dlogits;                  ///< Shape and dtype of logits; may be logits itself.
  ConstTensor dloss;               ///< f32: the shape of labels, any strides, for Reduction::none; else [1].
  ConstTensor logits;              ///< [..., classes], f32 | f16 | bf16.
  ConstTensor labels;              ///< [...], i32 | i64.
  ConstTensor lse;                 ///< [...], f32, contiguous: of the forward call, of all classes.
  std::int64_t class_start = 0;    ///< The class of the first column, where ranks share the classes.
  std::int64_t total_classes = 0;  ///< Of all ranks; 0: those of logits are all.
  LossOptions options = {};
};
SPRUE_API void cross_entropy_backward(Runtime& runtime, const CrossEntropyBackward& args, Stream stream = nullptr);
SPRUE_API KernelInfo prepare(Runtime& runtime, const CrossEntropyBackward& args);

/// A rank's part of the loss, where every rank has some columns of the logits and all have the labels. For each row:
/// lse of its own columns, t of the label or 0 if another rank has it, and sum of t. Gather the parts of all ranks
/// [ranks, ..., 3], call cross_entropy_combine, then cross_entropy_backward with class_start on each rank. Shoeybi et
/// al. 2019, arXiv:1909.08053.
struct CrossEntropyPartials {
  Tensor partials;                 ///< [..., 3], f32, contiguous.
  ConstTensor logits;              ///< [..., classes], f32 | f16 | bf16.
  ConstTensor labels;              ///< [...], i32 | i64; classes of all ranks.
  std::int64_t class_start = 0;    ///< The class of the first column.
  std::int64_t total_classes = 0;  ///< Of all ranks; 0: those of logits are all.
  LossOptions options = {};        ///< reduction is for cross_entropy_combine: it must be none here.
};
SPRUE_API void cross_entropy_partials(Runtime& runtime, const CrossEntropyPartials& args, Stream stream = nullptr);
SPRUE_API KernelInfo prepare(Runtime& runtime, const CrossEntropyPartials& args);

/// The loss from the parts of all ranks, which are added in their order: the same bits on every rank.
struct CrossEntropyCombine {
  Tensor loss;                     ///< As in CrossEntropy, as what follows.
  ConstTensor partials;            ///< [ranks, ..., 3], f32, contiguous.
  ConstTensor labels;              ///< [...], i32 | i64.
  std::int64_t total_classes = 0;  ///< Of all ranks; must be given.
  Tensor z_loss = {};
  Tensor lse = {};
  Tensor bad_labels = {};
  LossOptions options = {};        ///< logit_scale and softcap are in the parts already: 1 and 0, or what they were.
};
SPRUE_API void cross_entropy_combine(Runtime& runtime, const CrossEntropyCombine& args, Stream stream = nullptr);
SPRUE_API KernelInfo prepare(Runtime& runtime, const CrossEntropyCombine& args);

}  // namespace sprue
