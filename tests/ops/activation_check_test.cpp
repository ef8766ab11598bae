// The operators of activation functions refuse bad arguments in the caller's words, before they need a GPU.
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
  Activation args{.y = tensor(1, {8, 64}),
                  .x = tensor(2, {8, 64}),
                  .gate = tensor(3, {8, 64}),
                  .bias = tensor(4, {64}),
                  .gate_bias = tensor(5, {64})};
  change(args);
  return answer_to(args, activation);
}

template <class Change>
std::string backward_refused(Change change) {
  ActivationBackward args{.dx = tensor(1, {8, 64}),
                          .dy = tensor(2, {8, 64}),
                          .x = tensor(3, {8, 64}),
                          .dgate = tensor(4, {8, 64}),
                          .gate = tensor(5, {8, 64}),
                          .dbias = tensor(6, {64}),
                          .dgate_bias = tensor(7, {64})};
  change(args);
  return answer_to(args, activation_backward);
}

}  // namespace

TEST_CASE("activation: what it takes") {
  CHECK(refused([](Activation&) {}) == "needs a GPU");
  CHECK(refused([](Activation& a) { a.y = tensor(2, {8, 64}); }) == "needs a GPU");
  CHECK(refused([](Activation& a) { a.y = tensor(3, {8, 64}); }) == "needs a GPU");
  CHECK(refused([](Activation& a) { a.gate = {}, a.gate_bias = {}; }) == "needs a GPU");
  CHECK(refused([](Activation& a) {
          a.x = a.y = tensor(1, {0, 64}), a.gate = tensor(3, {0, 64});
        }) == "accepted");
  CHECK(backward_refused([](ActivationBackward&) {}) == "needs a GPU");
  CHECK(backward_refused([](ActivationBackward& a) {
          a.dx = tensor(3, {8, 64}), a.dgate = tensor(5, {8, 64});
        }) == "needs a GPU");
}

TEST_CASE("activation: what it refuses") {
  CHECK(refused([](Activation& a) { a.x = {}; }) ==
        "[activation] x must have 1 to 6 dimensions [..., columns], but is not given");
  CHECK(refused([](Activation& a) { a.x.dtype = DType::u8; }) ==
        "[activation] x must have dtype f32, f16 or bf16, but has u8");
  CHECK(refused([](Activation& a) {
          a.gate = tensor(3, {8, 32});
        }) == "[activation] gate must have the shape of x, [8, 64], but has [8, 32]");
  CHECK(refused([](Activation& a) { a.gate.dtype = DType::f32; }) ==
        "[activation] gate must have the dtype of x, bf16, but has f32");
  CHECK(refused([](Activation& a) { a.bias = tensor(4, {63}); }) ==
        "[activation] bias must have 64 elements, the last extent of x, but has 63");
  CHECK(refused([](Activation& a) { a.gate_bias.dtype = DType::f32; }) ==
        "[activation] gate_bias must have the dtype of bias, bf16, but has f32");
  CHECK(refused([](Activation& a) { a.gate = {}; }) ==
        "[activation] gate_bias must not be given without a gate, but is [64]");
  CHECK(refused([](Activation& a) { a.y.data = address((2 << 20) + 2); }) ==
        "[activation] y must be x itself or not overlap it, but they share memory as different views");
  CHECK(refused([](Activation& a) { a.y.data = const_cast<void*>(a.bias.data); }) ==
        "[activation] y must not overlap bias, but they share memory");
  CHECK(refused([](Activation& a) { a.negative_slope = 1.0f / 0.0f; }) ==
        "[activation] negative_slope must be finite, but is inf");
}

TEST_CASE("activation_backward: what it refuses") {
  CHECK(backward_refused([](ActivationBackward& a) { a.dgate = {}; }) ==
        "[activation_backward] dgate must be given if and only if gate is, but gate is given");
  CHECK(backward_refused([](ActivationBackward& a) { a.dgate = a.dx; }) ==
        "[activation_backward] dx must not overlap dgate, but they share memory");
  CHECK(backward_refused([](ActivationBackward& a) { a.dbias = tensor(6, {8}); }) ==
        "[activation_backward] dbias must have 64 elements, the last extent of dy, but has 8");
  CHECK(backward_refused([](ActivationBackward& a) { a.dgate_bias.dtype = DType::f32; }) ==
        "[activation_backward] dgate_bias must have the dtype of dbias, bf16, but has f32");
  CHECK(backward_refused([](ActivationBackward& a) { a.dgate_bias.data = a.dbias.data; }) ==
        "[activation_backward] dbias must not overlap dgate_bias, but they share memory");
  CHECK(backward_refused([](ActivationBackward& a) { a.x.dtype = DType::f32; }) ==
        "[activation_backward] x must have the dtype of dy, bf16, but has f32");
  CHECK(
      backward_refused([](ActivationBackward& a) {
        constexpr std::int64_t kMany = std::int64_t{1} << 31;
        a = {
            .dx = tensor(1 << 14, {1, kMany}), .dy = tensor(1, {1, kMany}), .x = tensor(1 << 15, {1, kMany})};
        a.dbias = tensor(1 << 16, {kMany});
      }) ==
      "[activation_backward] columns must be less than 2^31 for gradients of biases, but dy has 2147483648");
}
