// The helpers behind the operators' argument checks.
#include "ops/check.h"

#include "ops/host.h"
#include "ops/rows.h"
#include "support/catch.h"

using namespace sprue;

namespace {

constexpr auto f16 = DType::f16;

ConstTensor view(std::uintptr_t data, std::initializer_list<std::int64_t> shape,
                 std::initializer_list<std::int64_t> stride) {
  return {address(data), f16, shape, stride};
}

bool overlap(const ConstTensor& a, const ConstTensor& b) {
  CHECK(ops::apart({"a", a}, {"b", b}) == ops::apart({"b", b}, {"a", a}));
  return !ops::apart({"a", a}, {"b", b});
}

/// Every address that a small view touches, byte by byte.
bool touches(const ConstTensor& a, const ConstTensor& b) {
  std::vector<bool> used(1 << 16);
  bool shared = false;
  const auto visit = [&](const ConstTensor& t, auto&& each) {
    for (std::int64_t i = 0; i < t.extents.shape[0]; ++i) {
      for (std::int64_t j = 0; j < t.extents.shape[1]; ++j) {
        const auto first =
            reinterpret_cast<std::intptr_t>(t.data) + 2 * (i * t.extents.stride[0] + j * t.extents.stride[1]);
        each(static_cast<std::size_t>(first));
        each(static_cast<std::size_t>(first) + 1);
      }
    }
  };
  visit(a, [&](std::size_t byte) { used[byte] = true; });
  visit(b, [&](std::size_t byte) { shared |= used[byte]; });
  return shared;
}

}  // namespace

TEST_CASE("views that share memory overlap, neighbours do not") {
  const ConstTensor a = view(0x1000, {4, 8}, {8, 1});  // 64 bytes
  CHECK(overlap(a, a));
  CHECK(overlap(a, view(0x103e, {4, 8}, {8, 1})));
  CHECK_FALSE(overlap(a, view(0x1040, {4, 8}, {8, 1})));
  CHECK_FALSE(overlap(a, view(0x0fc0, {4, 8}, {8, 1})));
  CHECK_FALSE(overlap(a, view(0x1000, {0, 8}, {8, 1})));
  CHECK(overlap(a, view(0x1068, {4, 8}, {-8, 1})));
  CHECK_FALSE(overlap(a, view(0x1070, {4, 8}, {-8, 1})));
}

TEST_CASE("slices of one packed tensor interleave without overlap") {
  const auto slice = [](int i) {
    return view(0x1000 + 16 * i, {2, 5, 8}, {5 * 24, 24, 1});
  };  // [2, 5, 3, 8][:, :, i]
  CHECK_FALSE(overlap(slice(0), slice(1)));
  CHECK_FALSE(overlap(slice(2), slice(0)));
  CHECK(overlap(slice(1), slice(1)));
  CHECK(overlap(slice(0), view(0x100e, {2, 5, 8}, {5 * 24, 24, 1})));
}

TEST_CASE("no overlap is missed, by brute force") {
  for (const std::int64_t row_a : {1, 2, 3, 4, 6, -4}) {
    for (const std::int64_t row_b : {0, 2, 3, 4, 8, -6}) {
      for (std::uintptr_t offset = 0; offset < 40; offset += 2) {
        const ConstTensor a = view(0x1000, {3, 2}, {row_a, 1}),
                          b = view(0x1000 - 16 + offset, {4, 2}, {row_b, 1});
        if (touches(a, b)) CHECK(overlap(a, b));
      }
    }
  }
}

TEST_CASE("the alignment is the largest power of two that divides addresses and strides") {
  const auto alignment = [](const ConstTensor& tensor) { return ops::alignment(ops::View("x", tensor)); };
  CHECK(alignment(view(0x1000, {4, 64}, {64, 1})) == 16);
  CHECK(alignment(view(0x1008, {4, 64}, {64, 1})) == 8);
  CHECK(alignment(view(0x1000, {4, 64}, {66, 1})) == 4);
  CHECK(alignment(view(0x1000, {4, 65}, {-65, 1})) == 2);
  CHECK(alignment(view(0x1000, {1, 65}, {65, 1})) == 16);
  CHECK(alignment(view(0, {4, 64}, {64, 1})) == 16);
  CHECK(alignment({}) == 16);
}

TEST_CASE("groups that walk over rows have as many each, as far as that goes") {
  CHECK(ops::walking_groups(1, 132) == 1);
  CHECK(ops::walking_groups(132, 132) == 132);
  CHECK(ops::walking_groups(133, 132) == 67);
  CHECK(ops::walking_groups(4096, 132) == 128);
  CHECK(ops::walking_groups(std::int64_t{1} << 40, 1) == 1);
}

TEST_CASE("a grid holds fewer than 2^31 blocks") {
  CHECK(ops::grid_size("op", 0, 4, 7) == 0);
  CHECK(ops::grid_size("op", 9, 4, 7) == 21);
  CHECK(ops::grid_size("op", 2147483647, 1, 1) == 2147483647);
  CHECK_THROWS_WITH(ops::grid_size("op", 2147483648, 1, 1),
                    "[op] one launch must need at most 2147483647 blocks, but 1 times 2147483648 are more");
  CHECK_THROWS_AS(ops::grid_size("op", 1ll << 62, 1, 1 << 30), ArgumentError);
}

TEST_CASE("a number of elements that does not fit is refused") {
  Extents extents;
  extents.rank = 2;
  extents.shape = {1ll << 40, 1ll << 40};
  CHECK(ops::count("op", extents, 1) == 1ll << 40);
  CHECK_THROWS_WITH(ops::count("op", extents, 2),
                    "[op] a tensor must have less than 2^63 elements, but is [1099511627776, 1099511627776]");
  extents.shape[1] = 0;
  CHECK(ops::count("op", extents, 2) == 0);
}
