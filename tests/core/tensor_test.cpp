// Shapes, strides and contiguity.
#include "sprue/tensor.h"

#include <string>
#include <tuple>

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
  const std::tuple<DType, std::size_t, std::string> dtypes[] = {
      {DType::f32, 4, "f32"}, {DType::f16, 2, "f16"}, {DType::bf16, 2, "bf16"}, {DType::i32, 4, "i32"},
      {DType::u8, 1, "u8"},   {DType::i8, 1, "i8"},   {DType::i64, 8, "i64"},   {DType::e4m3, 1, "e4m3"}};
  for (const auto& [dtype, size, name] : dtypes) {
    CHECK(size_of(dtype) == size);
    CHECK(name_of(dtype) == name);
    CHECK(is_float(dtype) == (name == "f32" || name == "f16" || name == "bf16"));
  }
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
