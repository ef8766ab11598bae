// layer_norm, rms_norm with more than a weight, and their gradients refuse bad arguments in the caller's
// words.
#include <string>

#include "driver/driver.h"
#include "ops/host.h"
#include "support/catch.h"

using namespace sprue;

namespace {

constexpr auto f32 = DType::f32, bf16 = DType::bf16, f16 = DType::f16;

Tensor tensor(int megabyte, std::initializer_list<std::int64_t> shape, DType dtype = bf16) {
  return host_tensor(megabyte, shape, dtype);
}

LayerNorm good() {
  return {.y = tensor(1, {4, 64}),
          .x = tensor(2, {4, 64}),
          .weight = tensor(3, {64}, f32),
          .bias = tensor(4, {64}, f32),
          .residual = tensor(5, {4, 64}, f32),
          .residual_out = tensor(6, {4, 64}, f32)};
}

RmsNormBackward good_backward() {
  return {.dx = tensor(1, {4, 64}),
          .dy = tensor(2, {4, 64}),
          .z = tensor(3, {4, 64}, f32),
          .weight = tensor(4, {64}),
          .dweight = tensor(5, {64}),
          .dbias = tensor(6, {64}),
          .dresidual_out = tensor(7, {4, 64}, f32),
          .dresidual = tensor(8, {4, 64}, f32)};
}

/// What is said when `change` has been made to good arguments.
template <class Change>
std::string refused(Change change) {
  LayerNorm args = good();
  change(args);
  return answer_to(args, layer_norm);
}
template <class Change>
std::string refused_backward(Change change) {
  RmsNormBackward args = good_backward();
  change(args);
  return answer_to(args, rms_norm_backward);
}

}  // namespace

TEST_CASE("norms: good arguments pass") {
  if (driver::available()) SKIP_TEST("the addresses are not real");
  CHECK(answer_to(good(), layer_norm) == "needs a GPU");
  CHECK(answer_to(good_backward(), rms_norm_backward) == "needs a GPU");
  CHECK(refused([](LayerNorm& a) { a.residual_out = tensor(5, {4, 64}, f32); }) == "needs a GPU");
  const RmsNorm mixed{.y = tensor(1, {4, 64}), .x = tensor(2, {4, 64}), .weight = tensor(3, {64}, f32)};
  CHECK(answer_to(mixed, rms_norm) == "needs a GPU");
}

TEST_CASE("layer_norm: what it refuses") {
  CHECK(refused([](LayerNorm& a) { a.x = {}; }) ==
        "[layer_norm] x must have 1 to 6 dimensions [..., hidden], but is not given");
  CHECK(refused([](LayerNorm& a) {
          a.y = tensor(1, {4, 32});
        }) == "[layer_norm] y must have the shape of x, [4, 64], but has [4, 32]");
  CHECK(refused([](LayerNorm& a) { a.y.dtype = f32; }) ==
        "[layer_norm] y must have the dtype of x, bf16, but has f32");
  CHECK(refused([](LayerNorm& a) { a.eps = -1; }) ==
        "[layer_norm] eps must be finite and not negative, but is -1");
  CHECK(refused([](LayerNorm& a) { a.weight = tensor(3, {63}, f32); }) ==
        "[layer_norm] weight must have 64 elements, the last extent of x, but has 63");
  CHECK(refused([](LayerNorm& a) { a.weight.dtype = DType::i32; }) ==
        "[layer_norm] weight must have dtype f32, f16 or bf16, but has i32");
  CHECK(refused([](LayerNorm& a) { a.bias.dtype = bf16; }) ==
        "[layer_norm] bias must have the dtype of weight, f32, but has bf16");
  CHECK(refused([](LayerNorm& a) { a.weight = {}; }) ==
        "[layer_norm] bias must not be given without a weight, but is [64]");
  CHECK(refused([](LayerNorm& a) { a.weight = a.bias = {}, a.zero_centred_weight = true; }) ==
        "[layer_norm] zero_centred_weight must not be set without a weight, but is");
  CHECK(refused([](LayerNorm& a) { a.residual.dtype = f16; }) ==
        "[layer_norm] residual must have the dtype of x, bf16, or f32, but has f16");
  CHECK(refused([](LayerNorm& a) { a.residual_out.dtype = bf16; }) ==
        "[layer_norm] residual_out must have the dtype of residual, f32, but has bf16");
  CHECK(refused([](LayerNorm& a) { a.residual = {}; }) ==
        "[layer_norm] residual_out must not be given without a residual, but is [4, 64]");
  CHECK(refused([](LayerNorm& a) {
          a.residual_out = tensor(2, {4, 64}, f32);
        }) == "[layer_norm] residual_out must not overlap x, but they share memory");
  CHECK(refused([](LayerNorm& a) {
          a.y = tensor(5, {4, 64});
        }) == "[layer_norm] y must not overlap residual, but they share memory");
}

TEST_CASE("rms_norm_backward: what it refuses") {
  using Args = RmsNormBackward;
  CHECK(refused_backward([](Args& a) { a.dx.dtype = f32; }) ==
        "[rms_norm_backward] dx must have the dtype of dy, bf16, but has f32");
  CHECK(refused_backward([](Args& a) {
          a.z = tensor(3, {4, 63});
        }) == "[rms_norm_backward] z must have the shape of dy, [4, 64], but has [4, 63]");
  CHECK(refused_backward([](Args& a) { a.weight = {}; }) ==
        "[rms_norm_backward] dweight must not be given without a weight, but is [64]");
  CHECK(refused_backward([](Args& a) { a.dbias.dtype = f32; }) ==
        "[rms_norm_backward] dbias must have the dtype of weight, bf16, but has f32");
  CHECK(refused_backward([](Args& a) { a.dresidual.dtype = bf16; }) ==
        "[rms_norm_backward] dresidual must have the dtype of dresidual_out, f32, but has bf16");
  CHECK(refused_backward([](Args& a) {
          a.dresidual = tensor(1, {4, 64}, f32);
        }) == "[rms_norm_backward] dx must not overlap dresidual, but they share memory");
  CHECK(refused_backward([](Args& a) {
          a.dx = tensor(1, {4, 131073});
          a.dy = tensor(2, {4, 131073});
        }) == "[rms_norm_backward] hidden, the last extent of dy, must be at most 131072, but is 131073");
  CHECK(refused_backward([](Args& a) { a.dweight = tensor(6, {64}); }) ==
        "[rms_norm_backward] dweight must not overlap dbias, but they share memory");
}
