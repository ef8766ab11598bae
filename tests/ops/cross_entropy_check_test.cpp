// The operators of cross entropy refuse bad arguments in the caller's words, before they need a GPU.
#include <limits>
#include <string>

#include "driver/driver.h"
#include "ops/host.h"
#include "support/catch.h"

using namespace sprue;

namespace {

Tensor tensor(int megabyte, std::initializer_list<std::int64_t> shape, DType dtype = DType::f32) {
  return host_tensor(megabyte, shape, dtype);
}

template <class Change>
std::string refused(Change change) {
  CrossEntropy args{.loss = tensor(1, {1}),
                    .logits = tensor(2, {2, 8, 64}, DType::bf16),
                    .labels = tensor(3, {2, 8}, DType::i64),
                    .dlogits = tensor(2, {2, 8, 64}, DType::bf16),
                    .z_loss = tensor(4, {1}),
                    .lse = tensor(5, {2, 8}),
                    .bad_labels = tensor(6, {1}, DType::i32)};
  change(args);
  return answer_to(args, cross_entropy);
}

template <class Change>
std::string backward_refused(Change change) {
  CrossEntropyBackward args{.dlogits = tensor(1, {8, 64}, DType::bf16),
                            .dloss = tensor(2, {1}),
                            .logits = tensor(1, {8, 64}, DType::bf16),
                            .labels = tensor(3, {8}, DType::i32),
                            .lse = tensor(4, {8}),
                            .class_start = 64,
                            .total_classes = 128};
  change(args);
  return answer_to(args, cross_entropy_backward);
}

template <class Change>
std::string partials_refused(Change change) {
  CrossEntropyPartials args{.partials = tensor(1, {8, 3}),
                            .logits = tensor(2, {8, 64}, DType::bf16),
                            .labels = tensor(3, {8}, DType::i64),
                            .options = {.reduction = Reduction::none}};
  change(args);
  return answer_to(args, cross_entropy_partials);
}

template <class Change>
std::string combine_refused(Change change) {
  CrossEntropyCombine args{.loss = tensor(1, {1}),
                           .partials = tensor(2, {4, 8, 3}),
                           .labels = tensor(3, {8}, DType::i64),
                           .total_classes = 100};
  change(args);
  return answer_to(args, cross_entropy_combine);
}

}  // namespace

TEST_CASE("cross_entropy: what it refuses") {
  if (!driver::available()) CHECK(refused([](CrossEntropy&) {}) == "needs a GPU");
  CHECK(refused([](CrossEntropy& a) { a.logits = {}; }) ==
        "[cross_entropy] logits must have 2 to 6 dimensions [..., classes], but has 0");
  CHECK(refused([](CrossEntropy& a) { a.logits.dtype = DType::i32; }) ==
        "[cross_entropy] logits must have dtype f32, f16 or bf16, but has i32");
  CHECK(refused([](CrossEntropy& a) { a.labels.dtype = DType::f32; }) ==
        "[cross_entropy] labels must have dtype i32 or i64, but has f32");
  CHECK(refused([](CrossEntropy& a) {
          a.labels = tensor(3, {2, 7}, DType::i64);
        }) ==
        "[cross_entropy] labels must have the shape of logits without its last dimension, [2, 8, 64], but "
        "has [2, 7]");
  CHECK(refused([](CrossEntropy& a) {
          a.loss = tensor(1, {2, 8});
        }) == "[cross_entropy] loss must be [1] for a mean or sum, but is [2, 8]");
  CHECK(refused([](CrossEntropy& a) { a.options.reduction = Reduction::none; }) ==
        "[cross_entropy] loss must have the shape of labels, [2, 8], but has [1]");
  CHECK(refused([](CrossEntropy& a) { a.dlogits.dtype = DType::f32; }) ==
        "[cross_entropy] dlogits must have the dtype of logits, bf16, but has f32");
  CHECK(refused([](CrossEntropy& a) { a.dlogits.data = address((2 << 20) + 2); }) ==
        "[cross_entropy] dlogits must be logits itself or not overlap it, but they share memory as different "
        "views");
  CHECK(refused([](CrossEntropy& a) { a.lse = tensor(5, {16}); }) ==
        "[cross_entropy] lse must have the shape of labels, [2, 8], but has [16]");
  CHECK(refused([](CrossEntropy& a) { a.lse = a.dlogits; }) ==
        "[cross_entropy] lse must have dtype f32, but has bf16");
  CHECK(refused([](CrossEntropy& a) { a.z_loss = a.loss; }) ==
        "[cross_entropy] loss must not overlap z_loss, but they share memory");
  CHECK(refused([](CrossEntropy& a) { a.bad_labels.dtype = DType::i64; }) ==
        "[cross_entropy] bad_labels must have dtype i32, but has i64");
  CHECK(refused([](CrossEntropy& a) { a.options.label_smoothing = 1.5f; }) ==
        "[cross_entropy] label_smoothing must be 0 to 1, but is 1.5");
  CHECK(refused([](CrossEntropy& a) { a.options.softcap = -1; }) ==
        "[cross_entropy] softcap must be finite and not negative, but is -1");
  CHECK(refused([](CrossEntropy& a) { a.options.logit_scale = std::numeric_limits<float>::infinity(); }) ==
        "[cross_entropy] logit_scale must be finite, but is inf");
  CHECK(refused([](CrossEntropy& a) { a.options.lse_square_scale = -0.5f; }) ==
        "[cross_entropy] lse_square_scale must be finite and not negative, but is -0.5");
}

TEST_CASE("cross_entropy_backward: what it refuses") {
  if (!driver::available()) CHECK(backward_refused([](CrossEntropyBackward&) {}) == "needs a GPU");
  CHECK(backward_refused([](CrossEntropyBackward& a) { a.dloss = tensor(2, {8}); }) ==
        "[cross_entropy_backward] dloss must be [1] for a mean or sum, but is [8]");
  CHECK(backward_refused([](CrossEntropyBackward& a) { a.options.reduction = Reduction::none; }) ==
        "[cross_entropy_backward] dloss must have the shape of labels, [8], but has [1]");
  CHECK(backward_refused([](CrossEntropyBackward& a) { a.class_start = 65; }) ==
        "[cross_entropy_backward] class_start must be 0 to 64, so that all 64 classes of logits are below "
        "total_classes, but is 65");
  CHECK(backward_refused([](CrossEntropyBackward& a) { a.total_classes = 63; }) ==
        "[cross_entropy_backward] total_classes must be 0 or 64, the classes of logits, to 17179869184, but "
        "is 63");
  CHECK(backward_refused([](CrossEntropyBackward& a) { a.lse = {}; }) ==
        "[cross_entropy_backward] lse must have the shape of labels, [8], but has []");
}

TEST_CASE("cross_entropy_partials and cross_entropy_combine: what they refuse") {
  if (!driver::available()) {
    CHECK(partials_refused([](CrossEntropyPartials&) {}) == "needs a GPU");
    CHECK(combine_refused([](CrossEntropyCombine&) {}) == "needs a GPU");
  }
  CHECK(partials_refused([](CrossEntropyPartials& a) { a.options.reduction = Reduction::mean; }) ==
        "[cross_entropy_partials] reduction must be none, as cross_entropy_combine reduces, but is mean");
  CHECK(partials_refused([](CrossEntropyPartials& a) {
          a.partials = tensor(1, {8, 2});
        }) == "[cross_entropy_partials] partials must be [8, 3], three values per row, but is [8, 2]");
  CHECK(combine_refused([](CrossEntropyCombine& a) { a.total_classes = 0; }) ==
        "[cross_entropy_combine] total_classes must be the classes of all ranks, but is 0");
  CHECK(combine_refused([](CrossEntropyCombine& a) {
          a.partials = tensor(2, {4, 7, 3});
        }) ==
        "[cross_entropy_combine] partials must be [ranks, ..., 3] with the shape of labels, [8], in between, "
        "but is "
        "[4, 7, 3]");
  CHECK(combine_refused([](CrossEntropyCombine& a) { a.loss = tensor(2, {1}); }) ==
        "[cross_entropy_combine] loss must not overlap partials, but they share memory");
}
