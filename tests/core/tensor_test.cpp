// Shapes, strides and contiguity.
#include "sprue/tensor.h"

#include "sprue/error.h"
#include "support/catch.h"

using namespace sprue;

TEST_CASE("a shape alone is row-major") {
  const Tensor t(nullptr, DType::bf16, {2, 3, 4});
  CHECK(t.extents.stride[0] == 12);
  CHECK(t.extents.stride[1] == 4);
  CHECK(t.extents.stride[2] == 1);
  CHECK(t.extents.elements() == 24);
  CHECK(t.extents.contiguous());
  CHECK(t.extents.print() == "[2, 3, 4]");
  CHECK(t.given());
  CHECK_FALSE(Tensor().given());
}

TEST_CASE("every dtype has a size and a name") {
  CHECK((size_of(DType::f32) == 4 && size_of(DType::i32) == 4 && size_of(DType::f16) == 2 && size_of(DType::bf16) == 2));
  CHECK(std::string(name_of(DType::i32)) == "i32");
}

TEST_CASE("strides decide contiguity; extents of one do not count") {
  CHECK_FALSE(Tensor(nullptr, DType::f32, {2, 3}, {4, 1}).extents.contiguous());
  CHECK(Tensor(nullptr, DType::f32, {1, 3}, {99, 1}).extents.contiguous());
  CHECK(Tensor(nullptr, DType::f32, {0, 3}, {99, 7}).extents.contiguous());
}

TEST_CASE("element counts go beyond 32 bits") {
  CHECK(Tensor(nullptr, DType::f16, {1 << 20, 1 << 20}).extents.elements() == std::int64_t{1} << 40);
}

TEST_CASE("element counts beyond 63 bits stay at the largest number") {
  CHECK(Tensor(nullptr, DType::f16, {1LL << 40, 1LL << 40}).extents.elements() == INT64_MAX);
  CHECK(Tensor(nullptr, DType::f16, {0, 1LL << 40, 1LL << 40}).extents.elements() == 0);
}

TEST_CASE("bad extents are named") {
  CHECK_THROWS_WITH(Tensor(nullptr, DType::f32, {1, 2, 3, 4, 5, 6, 7}),
                    "a tensor may have at most 6 dimensions, but has 7");
  CHECK_THROWS_WITH(Tensor(nullptr, DType::f32, {2, -1}),
                    "an extent must not be negative, but extent 1 is -1");
  CHECK_THROWS_WITH(Tensor(nullptr, DType::f32, {2, 3}, {3}),
                    "a tensor of 2 dimensions must have as many strides, but has 1");
}
