// layer_norm, rms_norm with more than a weight, and their gradients refuse bad arguments in the caller's
// words.
#include <cmath>
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
        "[layer_norm] y must have the dtype of x, bf16, or e4m3 or i8, but has f32");
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
  CHECK(
      refused([](LayerNorm& a) { a.residual = {}; }) ==
      "[layer_norm] residual_out must not be given where nothing changes x before the norm, but is [4, 64]");
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

TEST_CASE("norms: scales, dropout and second inputs") {
  CHECK(refused([](LayerNorm& a) {
          a.row_scale = tensor(7, {4, 64});
        }) == "[layer_norm] row_scale must have the shape of x without hidden, of [4, 64], but has [4, 64]");
  CHECK(refused([](LayerNorm& a) { a.row_scale = tensor(7, {4}, f16); }) ==
        "[layer_norm] row_scale must have the dtype of x, bf16, or f32, but has f16");
  CHECK(refused([](LayerNorm& a) { a.column_scale = tensor(7, {4}); }) ==
        "[layer_norm] column_scale must have 64 elements, the last extent of x, but has 4");
  CHECK(refused([](LayerNorm& a) { a.x_scale = INFINITY; }) ==
        "[layer_norm] x_scale must be finite, but is inf");
  CHECK(refused([](LayerNorm& a) { a.dropout.probability = 1; }) ==
        "[layer_norm] dropout.probability must be at least 0 and below 1, but is 1");
  CHECK(refused([](LayerNorm& a) {
          a.dropout_mask = tensor(7, {4, 64}, DType::u8);
        }) == "[layer_norm] dropout_mask must not be given without dropout, but is [4, 64]");
  CHECK(refused([](LayerNorm& a) {
          a.dropout.probability = 0.5f;
          a.dropout_mask = tensor(7, {4, 64}, DType::i8);
        }) == "[layer_norm] dropout_mask must have dtype u8, but has i8");
  CHECK(refused([](LayerNorm& a) {
          a.dropout.probability = 0.5f;
          a.dropout_mask = tensor(6, {4, 64}, DType::u8);
        }) == "[layer_norm] residual_out must not overlap dropout_mask, but they share memory");
  CHECK(refused([](LayerNorm& a) {
          a.x1 = tensor(7, {4, 64}, f32);
        }) == "[layer_norm] x1 must have the dtype of x, bf16, but has f32");
  CHECK(refused([](LayerNorm& a) {
          a.dropout.probability = 0.5f;
          a.dropout_mask1 = tensor(7, {4, 64}, DType::u8);
        }) == "[layer_norm] dropout_mask1 must not be given without x1, but is [4, 64]");
  CHECK(refused([](LayerNorm& a) {
          a.dropout.probability = 0.5f;
          a.x1 = tensor(7, {4, 64});
          a.dropout_mask = tensor(8, {4, 64}, DType::u8);
        }) == "[layer_norm] dropout_mask1 must be given with dropout_mask, but is not");
}

TEST_CASE("norms: gates and outputs") {
  CHECK(refused([](LayerNorm& a) { a.gate = tensor(7, {64}); }) ==
        "[layer_norm] gate must have the shape of x, [4, 64], but has [64]");
  CHECK(refused([](LayerNorm& a) { a.gate_first = true; }) ==
        "[layer_norm] gate_first must not be set without a gate, but is");
  CHECK(refused([](LayerNorm& a) {
          a.y1 = tensor(7, {4, 64});
        }) == "[layer_norm] bias1 must be given with bias, but is not");
  CHECK(refused([](LayerNorm& a) {
          a.y1 = tensor(7, {4, 64});
          a.bias1 = tensor(8, {64}, f32);
        }) == "[layer_norm] weight1 must be given with y1, but is not");
  CHECK(refused([](LayerNorm& a) { a.weight1 = tensor(8, {64}, f32); }) ==
        "[layer_norm] weight1 must not be given without y1, but is [64]");
  CHECK(refused([](LayerNorm& a) { a.y.dtype = DType::e4m3; }) ==
        "[layer_norm] y_scale or y_row_scale must be given with y of dtype e4m3, but neither is");
  CHECK(refused([](LayerNorm& a) {
          a.y.dtype = DType::i8;
          a.y_scale = tensor(7, {1}, f32);
          a.y_row_scale = tensor(8, {4}, f32);
        }) == "[layer_norm] y_scale or y_row_scale must be given with y of dtype i8, but both are");
  CHECK(refused([](LayerNorm& a) { a.y_scale = tensor(7, {1}, f32); }) ==
        "[layer_norm] y_scale must not be given unless y is e4m3 or i8, but is [1]");
  CHECK(refused([](LayerNorm& a) {
          a.y.dtype = DType::i8;
          a.y_scale = tensor(7, {4}, f32);
        }) == "[layer_norm] y_scale must have 1 element, [1], but is [4]");
  CHECK(refused([](LayerNorm& a) {
          a.y.dtype = DType::i8;
          a.y_row_scale = tensor(7, {4}, bf16);
        }) == "[layer_norm] y_row_scale must have dtype f32, but has bf16");
}

TEST_CASE("norms: rows that are numbered") {
  const auto some = [](LayerNorm& a) {
    a.x = tensor(2, {3, 64});
    a.x_rows = tensor(7, {4}, DType::i32);
  };
  if (!driver::available()) CHECK(refused([&](LayerNorm& a) { some(a); }) == "needs a GPU");
  CHECK(refused([&](LayerNorm& a) {
          some(a);
          a.residual = tensor(5, {3, 64}, f32);
        }) == "[layer_norm] residual must have the shape of x_rows and hidden, [4, 64], but has [3, 64]");
  CHECK(refused([&](LayerNorm& a) {
          some(a);
          a.x = tensor(2, {1, 3, 64});
        }) == "[layer_norm] x must have 2 dimensions [rows, hidden] with x_rows, but has 3");
  CHECK(refused([&](LayerNorm& a) {
          some(a);
          a.x_rows.dtype = DType::i64;
        }) == "[layer_norm] x_rows must have dtype i32, but has i64");
  CHECK(refused([&](LayerNorm& a) {
          some(a);
          a.x_rows = tensor(7, {1, 1, 1, 1, 1, 4}, DType::i32);
          a.residual = a.residual_out = {};
        }) == "[layer_norm] x_rows must have 1 to 5 dimensions, but has 6");
  CHECK(refused([](LayerNorm& a) {
          a.y_rows = tensor(7, {4}, DType::i32);
          a.y = tensor(1, {2, 32});
        }) == "[layer_norm] y must have 64 columns, as many as x, but has 32");
  CHECK(refused([](LayerNorm& a) {
          a.y_rows = tensor(7, {4}, DType::i32);
          a.y = tensor(2, {4, 64});
        }) == "[layer_norm] y must not overlap x, but they share memory");
}

TEST_CASE("rms_norm_backward: features it refuses") {
  using Args = RmsNormBackward;
  CHECK(refused_backward([](Args& a) {
          a.gate = tensor(9, {4, 64});
        }) == "[rms_norm_backward] dgate must be given with gate, but is not");
  CHECK(refused_backward([](Args& a) { a.bias = tensor(9, {64}); }) ==
        "[rms_norm_backward] bias must not be given without a gate behind the norm, but is [64]");
  CHECK(refused_backward([](Args& a) {
          a.dy1 = tensor(9, {4, 64});
        }) == "[rms_norm_backward] weight1 must be given with dy1, but is not");
  CHECK(refused_backward([](Args& a) {
          a.dy1 = tensor(9, {4, 64});
          a.weight1 = tensor(10, {64});
        }) == "[rms_norm_backward] dweight1 must be given with dweight, but is not");
  CHECK(refused_backward([](Args& a) { a.dweight1 = tensor(9, {64}); }) ==
        "[rms_norm_backward] dweight1 must not be given without dy1, but is [64]");
  CHECK(refused_backward([](Args& a) { a.dcolumn_scale = tensor(9, {64}); }) ==
        "[rms_norm_backward] x must be given with dcolumn_scale, but is not");
  CHECK(refused_backward([](Args& a) {
          a.x = tensor(10, {4, 64});
          a.dcolumn_scale = tensor(9, {64});
        }) == "[rms_norm_backward] dcolumn_scale must not be given without column_scale, but is [64]");
  CHECK(refused_backward([](Args& a) {
          a.dropout.probability = 0.5f;
          a.dropout_mask = tensor(9, {4, 64}, DType::u8);
          a.dx1 = tensor(10, {4, 64});
        }) == "[rms_norm_backward] dropout_mask1 must be given with dropout_mask, but is not");
  CHECK(refused_backward([](Args& a) {
          a.x_rows = tensor(9, {4}, DType::i32);
          a.dx = tensor(1, {3, 32});
        }) == "[rms_norm_backward] dx must have 64 columns, as many as dy, but has 32");
  CHECK(refused_backward([](Args& a) {
          a.y_rows = tensor(9, {4}, DType::i32);
          a.dy = tensor(2, {3, 64});
          a.dresidual_out = a.dresidual = {};
          a.dx = tensor(1, {3, 64});
        }) == "[rms_norm_backward] dx must have the shape of z, [4, 64], but has [3, 64]");
}
