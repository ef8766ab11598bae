// rope refuses bad arguments in the caller's words, before it needs a GPU.
#include <string>

#include "driver/driver.h"
#include "ops/host.h"
#include "support/catch.h"

using namespace sprue;

namespace {

Tensor tensor(int megabyte, std::initializer_list<std::int64_t> shape, DType dtype = DType::bf16) {
  return host_tensor(megabyte, shape, dtype);
}

/// What is said when `change` has been made to good arguments: queries and keys, with norms.
template <class Change>
std::string refused(Change change) {
  Rope args{.y = tensor(1, {2, 8, 4, 64}),
            .x = tensor(2, {2, 8, 4, 64}),
            .cos = tensor(3, {32, 16}, DType::f32),
            .sin = tensor(4, {32, 16}, DType::f32),
            .y_k = tensor(5, {2, 8, 2, 64}),
            .x_k = tensor(6, {2, 8, 2, 64}),
            .norm_weight = tensor(7, {64}),
            .norm_weight_k = tensor(8, {64})};
  change(args);
  return answer_to(args, rope);
}

}  // namespace

TEST_CASE("rope: what it refuses") {
  if (!driver::available()) CHECK(refused([](Rope&) {}) == "needs a GPU");
  CHECK(refused([](Rope& a) {
          a.x = tensor(2, {2, 8, 4});
        }) == "[rope] x must have 4 dimensions [batch, seqlen, heads, head_dim], but has 3");
  CHECK(refused([](Rope& a) { a.y.dtype = DType::f16; }) ==
        "[rope] y must have the dtype of x, bf16, but has f16");
  CHECK(refused([](Rope& a) {
          a.cos = tensor(3, {32, 33}, DType::f32);
        }) == "[rope] rotary_dim, twice the last extent of cos, must be 2 to head_dim, 64, but is 66");
  CHECK(refused([](Rope& a) {
          a.sin = tensor(4, {32, 8}, DType::f32);
        }) == "[rope] sin must have the shape and dtype of cos, [32, 16] of f32, but is [32, 8] of f32");
  CHECK(refused([](Rope& a) { a.cos.dtype = DType::f16; }) ==
        "[rope] cos must have dtype f32 or that of x, bf16, but has f16");
  CHECK(refused([](Rope& a) {
          a.x_k = a.y_k = tensor(6, {2, 7, 2, 64});
        }) == "[rope] x_k must have the shape of x but for its heads, [2, 8, 4, 64], but has [2, 7, 2, 64]");
  CHECK(refused([](Rope& a) {
          a.cos_k = tensor(9, {32, 16}, DType::f32);
        }) == "[rope] cos_k and sin_k must be given together, but only cos_k is");
  CHECK(refused([](Rope& a) { a.conjugate = true; }) ==
        "[rope] norm_weight must not be given with conjugate: the norm has no gradient here, but [64] are "
        "given");
  CHECK(refused([](Rope& a) { a.norm_weight_k = {}; }) ==
        "[rope] norm_weight_k must be given with norm_weight exactly where x_k is, but is not");
  CHECK(refused([](Rope& a) { a.offsets = tensor(9, {3}, DType::i32); }) ==
        "[rope] offsets must have 2 elements, one per sequence, but has 3");
  CHECK(refused([](Rope& a) { a.cu_seqlens = tensor(9, {3}, DType::i32); }) ==
        "[rope] x must have 3 dimensions [total, heads, head_dim], but has 4");
  CHECK(refused([](Rope& a) { a.y_k = a.y; }) ==
        "[rope] y_k must have the shape of x_k, [2, 8, 2, 64], but has [2, 8, 4, 64]");
  CHECK(refused([](Rope& a) {
          a.y = tensor(3, {2, 8, 4, 64});
        }) == "[rope] y must not overlap cos, but they share memory");
}
