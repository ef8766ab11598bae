// Expressions: what they evaluate to, and what is said about wrong ones.
#include "codegen/expression.h"

#include "samples.h"
#include "support/catch.h"

namespace sprue::codegen {
namespace {

const Values kValues = {{"N", std::int64_t{96}},
                        {"WARPS", std::int64_t{4}},
                        {"CAUSAL", true},
                        {"SCALAR", std::string("bf16")},
                        {"LOW", std::numeric_limits<std::int64_t>::min()}};

std::string value_of(const std::string& text) {
  return error_of([&] { throw Error(print(Expression::parse(text, "file", 3, 10).evaluate(kValues))); });
}

}  // namespace

TEST_CASE("expressions have the precedence of C") {
  CHECK(value_of("1 + 2 * 3") == "7");
  CHECK(value_of("(1 + 2) * 3") == "9");
  CHECK(value_of("10 - 4 - 3") == "3");
  CHECK(value_of("96 / 7 / 2") == "6");
  CHECK(value_of("-7 / 2") == "-3");
  CHECK(value_of("-7 % 4") == "-3");
  CHECK(value_of("- -2") == "2");
  CHECK(value_of("1 + 1 < 3 == true") == "file:3:20: comparisons do not chain: write a < b && b < c");
  CHECK(value_of("false && false || true") == "true");
  CHECK(value_of("true || false && false") == "true");
  CHECK(value_of("!true || true") == "true");
  CHECK(value_of("!(1 < 2)") == "false");
  CHECK(value_of("max(N, 2 * WARPS) + min(1, -1)") == "95");
  CHECK(value_of("9223372036854775807") == "9223372036854775807");
}

TEST_CASE("expressions compare values of one kind") {
  CHECK(value_of("SCALAR == 'bf16'") == "true");
  CHECK(value_of("SCALAR != 'f16' && CAUSAL") == "true");
  CHECK(value_of("CAUSAL == false") == "false");
  CHECK(value_of("N >= 96 && N <= 96 && !(N < 96) && !(N > 96)") == "true");
  CHECK(value_of("N == 'bf16'") ==
        "file:3:12: == compares two values of one kind, but is given the integer 96 and the string bf16");
}

TEST_CASE("a condition chooses one of two values and looks at no other") {
  CHECK(value_of("SCALAR == 'f32' ? 4 : 2") == "2");
  CHECK(value_of("3 * (CAUSAL ? N : 1 / 0)") == "288");
  CHECK(value_of("false ? 1 : true ? 2 : 3") == "2");
  CHECK(value_of("true ? false ? 1 : 2 : 3") == "2");
  CHECK(value_of("false || CAUSAL ? 'a' : NOBODY") == "a");
  CHECK(value_of("N ? 1 : 2") == "file:3:10: ? needs a boolean, but is given the integer 96");
  CHECK(value_of("CAUSAL ? 1") ==
        "file:3:20: expected a : for the ? at character 8, but the expression ends here");
}

TEST_CASE("&& and || look at their right side only when they must") {
  CHECK(value_of("false && 1 / 0 == 1") == "false");
  CHECK(value_of("true || NOBODY") == "true");
}

TEST_CASE("evaluation errors point at the culprit") {
  CHECK(value_of("N + WRAPS") == "file:3:14: unknown name WRAPS; did you mean WARPS?");
  CHECK(value_of("N + ZZZZZZ") == "file:3:14: unknown name ZZZZZZ");
  CHECK(value_of("N + SCALAR") == "file:3:14: + needs an integer, but is given the string bf16");
  CHECK(value_of("N && CAUSAL") == "file:3:10: && needs a boolean, but is given the integer 96");
  CHECK(value_of("!N") == "file:3:11: ! needs a boolean, but is given the integer 96");
  CHECK(value_of("max(CAUSAL, 1)") == "file:3:14: max needs an integer, but is given the boolean true");
  CHECK(value_of("N / (WARPS - 4)") == "file:3:12: 96 / 0 divides by zero");
  CHECK(value_of("N % 0") == "file:3:12: 96 % 0 divides by zero");
  CHECK(value_of("9223372036854775807 + 1") == "file:3:30: 9223372036854775807 + 1 does not fit in 64 bits");
  CHECK(value_of("4294967296 * 4294967296") == "file:3:21: 4294967296 * 4294967296 does not fit in 64 bits");
  CHECK(value_of("-LOW") == "file:3:10: 0 - -9223372036854775808 does not fit in 64 bits");
  CHECK(value_of("LOW / -1") == "file:3:14: -9223372036854775808 / -1 does not fit in 64 bits");
  CHECK(value_of("LOW % -1") == "0");
}

TEST_CASE("parse errors say what was expected and what was found") {
  CHECK(value_of("") == "file:3:10: expected a value, but the expression ends here");
  CHECK(value_of("1 +") == "file:3:13: expected a value, but the expression ends here");
  CHECK(value_of("1 + * 2") == "file:3:14: expected a value, but found '* 2'");
  CHECK(value_of("1 2") == "file:3:12: expected an operator, but found '2'");
  CHECK(value_of("12ab") == "file:3:12: expected an operator after the number, but found 'ab'");
  CHECK(value_of("(1 + 2") ==
        "file:3:16: expected a ) for the ( at character 1, but the expression ends here");
  CHECK(value_of("max 1") == "file:3:14: expected a ( after max, but found '1'");
  CHECK(value_of("max(1)") == "file:3:15: expected a , between the two arguments of max, but found ')'");
  CHECK(value_of("max(1, 2, 3)") ==
        "file:3:18: expected a ) after the two arguments of max, but found ', 3)'");
  CHECK(value_of("'abc") == "file:3:10: the string that starts here has no closing '");
  CHECK(value_of("9223372036854775808") == "file:3:10: an integer must fit in 64 bits");
  CHECK(value_of("1 < 2 < 3") == "file:3:16: comparisons do not chain: write a < b && b < c");
  CHECK(value_of("N = 1") == "file:3:12: expected an operator, but found '= 1'");
}

TEST_CASE("an expression cannot exhaust the stack") {
  const auto deep = [](const std::string& part, int count, const std::string& last) {
    std::string text;
    for (int i = 0; i < count; ++i) text += part;
    return value_of(text + last);
  };
  CHECK_THAT(deep("(", 5000, "1"), EndsWith("an expression may be nested at most 128 deep"));
  CHECK_THAT(deep("-", 5000, "1"), EndsWith("an expression may be nested at most 128 deep"));
  CHECK_THAT(deep("1+", 5000, "1"), EndsWith("an expression may be nested at most 128 deep"));
  CHECK_THAT(deep("1+", 10000, "1"), EndsWith("an expression may have at most 16384 characters"));
  CHECK(deep("1+", 100, "1") == "101");
}

TEST_CASE("results are asked for by kind") {
  const auto parse = [](const char* text) { return Expression::parse(text, "file", 1, 1); };
  CHECK(parse("N == 96").is_true(kValues));
  CHECK(parse("N / 2").integer(kValues) == 48);
  CHECK(error_of([&] { parse("N").is_true(kValues); }) ==
        "file:1:1: expected a condition, but 'N' is the integer 96");
  CHECK(error_of([&] { parse("CAUSAL").integer(kValues); }) ==
        "file:1:1: expected an integer, but 'CAUSAL' is the boolean true");
}

TEST_CASE("names are listed once, sorted, and can be checked beforehand") {
  const Expression expression = Expression::parse("max(B, A) + B * 2 > 'C'", "file", 1, 1);
  CHECK(expression.names() == std::vector<std::string>{"A", "B"});
  CHECK(error_of([&] { expression.check_names({"A", "BB"}, "parameter"); }) == "file:1:5: B is no parameter");
  CHECK(error_of([&] { expression.check_names({"A", "B"}, "parameter"); }) == "no error");
}

TEST_CASE("names of parameters and of loop variables are told apart") {
  CHECK(is_upper_snake("HEAD_DIM2"));
  CHECK_FALSE(is_upper_snake("Head"));
  CHECK_FALSE(is_upper_snake("2D"));
  CHECK_FALSE(is_upper_snake(""));
  CHECK(is_lower_snake("key_tile"));
  CHECK_FALSE(is_lower_snake("I"));
}

}  // namespace sprue::codegen
