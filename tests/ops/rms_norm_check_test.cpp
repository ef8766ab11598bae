// rms_norm refuses bad arguments in the caller's words, before it needs a GPU.
#include "driver/driver.h"
#include "ops/host.h"
#include "support/catch.h"

using namespace sprue;

namespace {

constexpr auto f16 = DType::f16, bf16 = DType::bf16;

/// [6, 64] bf16, y apart from x; every test changes one thing.
RmsNorm good() {
  return {.y = {address(0x20000), bf16, {6, 64}},
          .x = Tensor(address(0x10000), bf16, {6, 64}),
          .weight = Tensor(address(0x30000), bf16, {64})};
}

std::string refusal(const RmsNorm& args) {
  return answer_to(args, rms_norm);
}

}  // namespace

TEST_CASE("rms_norm: shapes and dtypes") {
  RmsNorm args = good();
  args.x = {};
  CHECK(refusal(args) == "[rms_norm] x must have 1 to 6 dimensions [..., hidden], but is not given");
  args = good();
  args.y = {};
  CHECK(refusal(args) == "[rms_norm] y must have the shape of x, [6, 64], but has []");
  args = good();
  args.y = {address(0x20000), bf16, {6, 65}};
  CHECK(refusal(args) == "[rms_norm] y must have the shape of x, [6, 64], but has [6, 65]");
  args = good();
  args.y.dtype = f16;
  CHECK(refusal(args) == "[rms_norm] y must have the dtype of x, bf16, or e4m3 or i8, but has f16");
  args = good();
  args.x = Tensor(address(0x10000), bf16, {6, 0});
  CHECK(refusal(args) == "[rms_norm] hidden, the last extent of x, must be 1 to 1048576, but is 0");
  args.x = Tensor(address(0x10000), bf16, {6, 1048577});
  CHECK(refusal(args) == "[rms_norm] hidden, the last extent of x, must be 1 to 1048576, but is 1048577");
}

TEST_CASE("rms_norm: weight") {
  RmsNorm args = good();
  args.weight = Tensor(address(0x30000), bf16, {63});
  CHECK(refusal(args) == "[rms_norm] weight must have 64 elements, the last extent of x, but has 63");
  args.weight = Tensor(address(0x30000), bf16, {1, 64});
  CHECK(refusal(args) == "[rms_norm] weight must have 1 dimension [hidden], but has 2");
  args.weight = Tensor(address(0x30000), bf16, {64}, {2});
  CHECK(refusal(args) ==
        "[rms_norm] weight must be contiguous in its last dimension (stride 1), but has stride 2");
  args.weight = {};
  args.weight.data = address(0x30000);
  CHECK(refusal(args) == "[rms_norm] weight must have 1 dimension [hidden], but has 0");
  args.weight = {};
  CHECK((driver::available() || refusal(args) == "needs a GPU"));
}

TEST_CASE("rms_norm: memory") {
  RmsNorm args = good();
  args.x.data = nullptr;
  CHECK(refusal(args) ==
        "[rms_norm] x must point to device memory for [6, 64] elements, but its data is null");
  args.x.data = address(0x10001);
  CHECK(refusal(args) == "[rms_norm] x must be aligned to its 2-byte elements, but its data is at 0x10001");
  args = good();
  args.y = {address(0x20000), bf16, {6, 64}, {128, 2}};
  CHECK(refusal(args) ==
        "[rms_norm] y must be contiguous in its last dimension (stride 1), but has stride 2");
  args.y = {address(0x20000), bf16, {6, 64}, {0, 1}};
  CHECK(refusal(args) ==
        "[rms_norm] y is written, so its elements must not share memory, but dimension 0 of extent 6 "
        "has stride 0");
}

TEST_CASE("rms_norm: y may be x but not overlap it otherwise") {
  RmsNorm args = good();
  args.y.data = address(0x10080);
  CHECK(refusal(args) ==
        "[rms_norm] y must be x itself or not overlap it, but they share memory as different views");
  args.y.data = address(0x30000);
  CHECK(refusal(args) == "[rms_norm] y must not overlap weight, but they share memory");
  args.y.data = address(0x10000);
  CHECK((driver::available() || refusal(args) == "needs a GPU"));
}

TEST_CASE("rms_norm: eps") {
  RmsNorm args = good();
  args.eps = -1;
  CHECK(refusal(args) == "[rms_norm] eps must be finite and not negative, but is -1");
  args.eps = NAN;
  CHECK(refusal(args) == "[rms_norm] eps must be finite and not negative, but is nan");
  args.eps = INFINITY;
  CHECK(refusal(args) == "[rms_norm] eps must be finite and not negative, but is inf");
}

TEST_CASE("rms_norm: no rows are no launch and need no GPU") {
  const Tensor none(nullptr, bf16, {0, 64});
  CHECK(refusal({.y = none, .x = none}) == "accepted");
  CHECK(host_runtime().counters().launches == 0);
}

TEST_CASE("rms_norm: prepare checks shapes, but needs no memory yet") {
  const Tensor later(nullptr, bf16, {6, 64});
  CHECK_THROWS_WITH(prepare(host_runtime(), RmsNorm{.y = later, .x = Tensor(nullptr, bf16, {6, 65})}),
                    "[rms_norm] y must have the shape of x, [6, 65], but has [6, 64]");
  if (!driver::available())
    CHECK_THROWS_AS(prepare(host_runtime(), RmsNorm{.y = later, .x = later}), CudaError);
}
