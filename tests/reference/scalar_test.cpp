// f16, bf16 and e4m3 on the host: every bit pattern, rounding to nearest even, and random input.
#include "reference/scalar.h"

#include <cmath>
#include <limits>

#include "reference/compare.h"
#include "reference/random.h"
#include "support/catch.h"

namespace sprue::reference {
namespace {

// The neighbours of every finite value, and what lies half way between them.
void check_rounding(std::uint16_t (*bits_of)(float), float (*value_of)(std::uint16_t),
                    std::uint16_t infinity) {
  int wrong = 0;
  for (std::uint16_t low = 0; low + 1 < infinity; ++low) {
    const auto high = static_cast<std::uint16_t>(low + 1);
    const float a = value_of(low), b = value_of(high);
    const float middle = a + (b - a) / 2;
    wrong += !(a < b);
    wrong += bits_of(a) != low;
    wrong += bits_of(-a) != (low | 0x8000);
    wrong += bits_of(middle) != (low % 2 == 0 ? low : high);
    wrong += bits_of(std::nextafter(middle, a)) != low;
    wrong += bits_of(std::nextafter(middle, b)) != high;
  }
  CHECK(wrong == 0);
}

}  // namespace

TEST_CASE("f16 rounds to nearest even") {
  check_rounding(f16_bits, f16_value, 0x7c00);
  CHECK(f16_value(0x3c00) == 1);
  CHECK(f16_value(0x7bff) == 65504);
  CHECK(f16_value(0x0001) == 0x1p-24f);
  CHECK(f16_bits(65519.996f) == 0x7bff);
  CHECK(f16_bits(65520) == 0x7c00);
  CHECK(f16_bits(0x1p-25f) == 0);
  CHECK(std::isinf(f16_value(0xfc00)));
  CHECK(std::isnan(f16_value(f16_bits(NAN))));
}

TEST_CASE("bf16 rounds to nearest even") {
  check_rounding(bf16_bits, bf16_value, 0x7f80);
  CHECK(bf16_value(0x3f80) == 1);
  CHECK(bf16_bits(std::numeric_limits<float>::max()) == 0x7f80);
  CHECK(std::isnan(bf16_value(bf16_bits(NAN))));
  CHECK(std::isnan(bf16_value(bf16_bits(-NAN))));
}

TEST_CASE("e4m3 rounds to nearest even and saturates") {
  int wrong = 0;
  for (std::uint8_t low = 0; low < 0x7e; ++low) {
    const auto high = static_cast<std::uint8_t>(low + 1);
    const float a = e4m3_value(low), b = e4m3_value(high), middle = (a + b) / 2;
    wrong += !(a < b);
    wrong += e4m3_bits(a) != low;
    wrong += e4m3_bits(-a) != (low | 0x80);
    wrong += e4m3_bits(middle) != (low % 2 == 0 ? low : high);
    wrong += e4m3_bits(std::nextafter(middle, a)) != low;
    wrong += e4m3_bits(std::nextafter(middle, b)) != high;
  }
  CHECK(wrong == 0);
  CHECK(e4m3_value(0x38) == 1);
  CHECK(e4m3_value(0x7e) == 448);
  CHECK(e4m3_value(0x01) == 0x1p-9f);
  CHECK(e4m3_bits(500) == 0x7e);
  CHECK(e4m3_bits(-INFINITY) == 0xfe);
  CHECK(std::isnan(e4m3_value(e4m3_bits(NAN))));
}

TEST_CASE("narrow and widen are inverse") {
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16, DType::e4m3}) {
    const auto values = random_normal(1000, 3, dtype);
    CHECK(widen(narrow(values, dtype), dtype) == values);
    CHECK(narrow({}, dtype).empty());
  }
}

TEST_CASE("integers travel as floats") {
  const std::vector<float> values = {0, -1, 7, 16'777'216, -16'777'215};
  const auto bytes = narrow(values, DType::i32);
  CHECK(bytes.size() == 20);
  CHECK(bytes[4] == std::byte{0xff});
  CHECK(bytes[8] == std::byte{7});
  CHECK(widen(bytes, DType::i32) == values);
  CHECK(rounded(7, DType::i32) == 7);
  CHECK(widen(narrow(values, DType::i64), DType::i64) == values);
  const std::vector<float> bytes_apart = {0, 1, 127};
  for (const DType dtype : {DType::u8, DType::i8}) CHECK(widen(narrow(bytes_apart, dtype), dtype) == bytes_apart);
  CHECK(widen(narrow(std::vector<float>{-128}, DType::i8), DType::i8) == std::vector<float>{-128});
}

TEST_CASE("random input is normal, and the same for the same seed") {
  const auto values = random_normal(200'000, 1, DType::f32);
  CHECK(values == random_normal(200'000, 1, DType::f32));
  CHECK(values != random_normal(200'000, 2, DType::f32));
  double mean = 0, square = 0;
  for (const float value : values) {
    mean += value / 200'000.0;
    square += static_cast<double>(value) * value / 200'000.0;
  }
  CHECK(std::abs(mean) < 0.01);
  CHECK(std::abs(square - 1) < 0.02);
}

TEST_CASE("a comparison counts NaN as wrong and infinities as equal to themselves") {
  const std::vector<double> truth = {1, -INFINITY, 3};
  CHECK(compare(std::vector<float>{1, -INFINITY, 3}, truth, 0).passed());
  CHECK_FALSE(compare(std::vector<float>{1, -INFINITY, NAN}, truth, 1e9).passed());
  CHECK_FALSE(compare(std::vector<float>{1, INFINITY, 3}, truth, 1e9).passed());
  CHECK_FALSE(compare(std::vector<float>{1, -INFINITY}, truth, 1e9).passed());
  const std::vector<double> finite = {1, 2};
  const Comparison comparison = compare(std::vector<float>{1, 2.5f}, finite, std::vector<float>{1.125f, 2});
  CHECK(comparison.error == Approx(0.5));
  CHECK(comparison.bound == Approx(0.25 + 1e-5));
  CHECK(comparison.where == 1);
  CHECK_THAT(comparison.print(), Contains("at element 1"));
}

}  // namespace sprue::reference
