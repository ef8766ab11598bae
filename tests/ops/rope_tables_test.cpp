// rope_tables: frequencies of every kind of scaling, by values worked out by hand.
#include <cmath>

#include "sprue/error.h"
#include "sprue/ops.h"
#include "support/catch.h"

using namespace sprue;

namespace {

using Kind = RopeScaling::Kind;

/// The angle of position 1 and channel pair n.
double angle(const RopeTables& tables, std::int64_t half, std::int64_t n) {
  const auto at = static_cast<std::size_t>(half + n);
  return std::atan2(tables.sin[at], tables.cos[at]);
}

std::string refusal(std::int64_t positions, std::int64_t rotary_dim, double base,
                    const RopeScaling& scaling) {
  try {
    rope_tables(positions, rotary_dim, base, scaling);
  } catch (const ArgumentError& e) {
    return e.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("rope_tables: without scaling") {
  const RopeTables tables = rope_tables(3, 8, 10000);
  REQUIRE(tables.cos.size() == 12);
  CHECK(tables.cos[0] == 1);
  CHECK(tables.sin[0] == 0);
  CHECK(tables.cos[8] == Approx(std::cos(2.0)));
  CHECK(tables.sin[4 + 2] == Approx(std::sin(0.01)));
  CHECK(tables.cos_k.empty());
}

TEST_CASE("rope_tables: linear and ntk") {
  CHECK(angle(rope_tables(2, 8, 10000, {.kind = Kind::linear, .factor = 4}), 4, 0) == Approx(0.25));
  const RopeTables ntk = rope_tables(2, 8, 10000, {.kind = Kind::ntk, .factor = 4});
  CHECK(angle(ntk, 4, 0) == Approx(1));                             // the fastest pair stays as it is
  CHECK(angle(ntk, 4, 3) == Approx(std::pow(10000.0, -0.75) / 4));  // the slowest is stretched by the factor
}

TEST_CASE("rope_tables: llama3 keeps high frequencies and stretches low ones") {
  const RopeScaling scaling{.kind = Kind::llama3, .factor = 8, .original_positions = 8192};
  const RopeTables tables = rope_tables(2, 128, 500000, scaling);
  CHECK(angle(tables, 64, 0) == Approx(1));
  CHECK(angle(tables, 64, 63) == Approx(std::pow(500000.0, -126.0 / 128) / 8));
}

TEST_CASE("rope_tables: yarn blends by rotations and grows with the logarithm of the factor") {
  const RopeScaling scaling{.kind = Kind::yarn, .factor = 16, .original_positions = 4096};
  const RopeTables tables = rope_tables(2, 128, 10000, scaling);
  CHECK(angle(tables, 64, 0) == Approx(1));
  CHECK(angle(tables, 64, 63) == Approx(std::pow(10000.0, -126.0 / 128) / 16));
  CHECK(std::hypot(tables.cos[0], tables.sin[0]) == Approx(0.1 * std::log(16.0) + 1));
}

TEST_CASE("rope_tables: xpos scales queries and keys against each other") {
  const RopeTables tables = rope_tables(5, 8, 10000, {.kind = Kind::xpos});
  REQUIRE(tables.cos_k.size() == tables.cos.size());
  for (std::size_t at = 0; at < 20; ++at) {
    const double q = std::hypot(tables.cos[at], tables.sin[at]),
                 k = std::hypot(tables.cos_k[at], tables.sin_k[at]);
    CHECK(q * k == Approx(1));
  }
  CHECK(std::hypot(tables.cos[8], tables.sin[8]) == Approx(1));  // in the middle
}

TEST_CASE("rope_tables: what it refuses") {
  CHECK(refusal(-1, 8, 1e4, {}) == "[rope_tables] positions must not be negative, but is -1");
  CHECK(refusal(1, 7, 1e4, {}) == "[rope_tables] rotary_dim must be even and at least 2, but is 7");
  CHECK(refusal(1, 8, 0, {}) == "[rope_tables] base must be finite and positive, but is 0");
  CHECK(refusal(1, 8, 1e4, {.kind = Kind::linear, .factor = 0.5}) ==
        "[rope_tables] scaling.factor must be finite and at least 1, but is 0.5");
  CHECK(refusal(1, 2, 1e4, {.kind = Kind::ntk, .factor = 2}) ==
        "[rope_tables] rotary_dim must be at least 4 for ntk, but is 2");
}
