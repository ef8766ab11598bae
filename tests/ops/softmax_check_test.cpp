// The operators of softmax refuse bad arguments in the caller's words, before they need a GPU.
#include <string>

#include "ops/host.h"
#include "support/catch.h"

using namespace sprue;

namespace {

Tensor tensor(int megabyte, std::initializer_list<std::int64_t> shape, DType dtype = DType::bf16) {
  return host_tensor(megabyte, shape, dtype);
}

template <class Change>
std::string refused(Change change) {
  Softmax args{.y = tensor(1, {2, 4, 8, 64}),
               .x = tensor(2, {2, 4, 8, 64}),
               .mask = tensor(3, {2, 1, 8, 64}, DType::u8)};
  change(args);
  return answer_to(args, softmax);
}

template <class Change>
std::string backward_refused(Change change) {
  SoftmaxBackward args{.dx = tensor(1, {8, 64}), .dy = tensor(2, {8, 64}), .y = tensor(3, {8, 64})};
  change(args);
  return answer_to(args, softmax_backward);
}

}  // namespace

TEST_CASE("softmax: what it takes") {
  CHECK(refused([](Softmax&) {}) == "needs a GPU");
  CHECK(refused([](Softmax& a) { a.y = tensor(2, {2, 4, 8, 64}); }) == "needs a GPU");
  CHECK(refused([](Softmax& a) {
          a.mask = {};
          a.causal = true;
        }) == "needs a GPU");
  CHECK(refused([](Softmax& a) {
          a.x = a.y = tensor(1, {0, 4, 8, 64});
          a.mask = {};
        }) == "accepted");
  CHECK(backward_refused([](SoftmaxBackward&) {}) == "needs a GPU");
  CHECK(backward_refused([](SoftmaxBackward& a) { a.dx = tensor(2, {8, 64}); }) == "needs a GPU");
  CHECK(backward_refused([](SoftmaxBackward& a) { a.dx = tensor(3, {8, 64}); }) == "needs a GPU");
}

TEST_CASE("softmax: what it refuses") {
  CHECK(refused([](Softmax& a) { a.x = {}; }) ==
        "[softmax] x must have 1 to 6 dimensions [..., columns], but is not given");
  CHECK(refused([](Softmax& a) {
          a.x = tensor(2, {2, 0});
        }) == "[softmax] columns, the last extent of x, must be 1 to 16777216, but is 0");
  CHECK(refused([](Softmax& a) { a.x.dtype = DType::i32; }) ==
        "[softmax] x must have dtype f32, f16 or bf16, but has i32");
  CHECK(refused([](Softmax& a) {
          a.y = tensor(1, {8, 64});
        }) == "[softmax] y must have the shape of x, [2, 4, 8, 64], but has [8, 64]");
  CHECK(refused([](Softmax& a) { a.y.dtype = DType::f32; }) ==
        "[softmax] y must have the dtype of x, bf16, but has f32");
  CHECK(refused([](Softmax& a) { a.y.data = address((2 << 20) + 2); }) ==
        "[softmax] y must be x itself or not overlap it, but they share memory as different views");
  CHECK(refused([](Softmax& a) { a.scale = 1.0f / 0.0f; }) ==
        "[softmax] scale must be -1e38 to 1e38, but is inf");
  CHECK(refused([](Softmax& a) { a.mask.dtype = DType::bf16; }) ==
        "[softmax] mask must have dtype u8, but has bf16");
  const std::string shape =
      "[softmax] mask must have the shape of x, [2, 4, 8, 64], or extents of 1 but for the last, but has ";
  CHECK(refused([](Softmax& a) { a.mask = tensor(3, {2, 3, 8, 64}, DType::u8); }) == shape + "[2, 3, 8, 64]");
  CHECK(refused([](Softmax& a) { a.mask = tensor(3, {8, 64}, DType::u8); }) == shape + "[8, 64]");
  CHECK(refused([](Softmax& a) { a.mask = tensor(3, {2, 1, 8, 1}, DType::u8); }) == shape + "[2, 1, 8, 1]");
  CHECK(refused([](Softmax& a) { a.mask.data = a.y.data; }) ==
        "[softmax] y must not overlap mask, but they share memory");
  CHECK(refused([](Softmax& a) {
          a.x = a.y = tensor(1, {64});
          a.mask = {};
          a.causal = true;
        }) ==
        "[softmax] causal must not be set without queries, the dimension in front of the last one, but x is "
        "[64]");
}

TEST_CASE("softmax_backward: what it refuses") {
  CHECK(backward_refused([](SoftmaxBackward& a) {
          a.dy = tensor(2, {8, 63});
        }) == "[softmax_backward] dy must have the shape of y, [8, 64], but has [8, 63]");
  CHECK(backward_refused([](SoftmaxBackward& a) { a.dx.dtype = DType::f32; }) ==
        "[softmax_backward] dx must have the dtype of y, bf16, but has f32");
  CHECK(backward_refused([](SoftmaxBackward& a) { a.dx.data = address((3 << 20) + 2); }) ==
        "[softmax_backward] dx must be y itself or not overlap it, but they share memory as different views");
  CHECK(backward_refused([](SoftmaxBackward& a) { a.scale = -1.0f / 0.0f; }) ==
        "[softmax_backward] scale must be -1e38 to 1e38, but is -inf");
}
