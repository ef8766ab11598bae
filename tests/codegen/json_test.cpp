// JSON values: where they were written, checked access, printing.
#include "codegen/json.h"

#include "samples.h"
#include "support/catch.h"

namespace sprue::codegen {
namespace {

std::string parse_error(const std::string& text) {
  return error_of([&] { parse_json("f.json", text); });
}

std::string place(const Json& json) {
  return std::to_string(json.line) + ":" + std::to_string(json.column);
}

}  // namespace

TEST_CASE("every JSON value knows its line and column") {
  const Json json =
      parse_json("f.json", "{\n  \"a\": [1,-22, 3.5 ,true],\"b\" :{\"c\\n\": \"x\\\"y\" }\n, \"d\": null}");
  CHECK(place(json) == "1:1");
  const Json& a = json.at("a");
  CHECK(place(a) == "2:8");
  CHECK(a.key_column == 3);
  CHECK(place(a.items[0]) == "2:9");
  CHECK(place(a.items[1]) == "2:11");
  CHECK(place(a.items[2]) == "2:16");
  CHECK(place(a.items[3]) == "2:21");
  CHECK(json.at("b").key_column == 27);
  CHECK(place(json.at("b")) == "2:32");
  CHECK(place(json.at("b").at("c\n")) == "2:40");
  CHECK(json.at("b").at("c\n").string == "x\"y");
  CHECK(place(json.at("d")) == "3:8");
  CHECK(json.at("d").kind == Json::Kind::null);
}

TEST_CASE("bad JSON is refused with its place") {
  CHECK_THAT(parse_error("{\"a\": 1,\n }"),
             StartsWith("f.json:2:2: bad JSON: syntax error while parsing object key"));
  CHECK_THAT(parse_error(""), StartsWith("f.json:1:1: bad JSON: "));
  CHECK_THAT(parse_error("[1] 2"), StartsWith("f.json:1:5: bad JSON: "));
  CHECK_THAT(parse_error("[1e999]"), StartsWith("f.json:1:6: bad JSON: number overflow"));
  CHECK_THAT(parse_error("\"\xff\""), StartsWith("f.json:1:2: bad JSON: "));
  CHECK(parse_error("{\"a\": 1, \"a\": 2}") == "f.json:1:10: the key \"a\" is given twice");
  CHECK(parse_error("[18446744073709551615]") ==
        "f.json:1:2: an integer must fit in 64 bits, but this is 18446744073709551615");
  std::string keys;
  for (int i = 0; i < 2000; ++i) keys += (i == 0 ? "{\"" : ",\"") + std::to_string(i) + "\":0";
  CHECK_THAT(parse_error(keys), EndsWith("an object may have at most 1024 keys"));
  CHECK(parse_error(std::string(100000, '[')) == "f.json:1:33: JSON may be nested at most 32 deep");
}

TEST_CASE("checked access says what was expected and what is there") {
  const Json json =
      parse_json("f.json", R"({"text": "x", "number": 1.5, "list": [1], "flag": true, "none": null})");
  CHECK(error_of([&] { json.at("flags"); }) == "f.json:1:1: the key \"flags\" is missing here");
  CHECK(error_of([&] { json.at("text").as_integer(); }) ==
        "f.json:1:10: expected an integer, but this is the string \"x\"");
  CHECK(error_of([&] { json.at("number").as_integer(); }) ==
        "f.json:1:25: expected an integer, but this is the number 1.5");
  CHECK(error_of([&] { json.at("list").as_boolean(); }) ==
        "f.json:1:38: expected true or false, but this is an array");
  CHECK(error_of([&] { json.at("flag").as_object(); }) ==
        "f.json:1:51: expected an object, but this is true");
  CHECK(error_of([&] { json.at("none").as_value(); }) ==
        "f.json:1:65: expected true, false, an integer or a string, but this is null");
  CHECK(error_of([&] {
          json.with_keys({"text", "nunber", "list", "flag", "none"});
        }) ==
        "f.json:1:15: unknown key \"number\"; did you mean nunber?; the keys here are text, nunber, list, "
        "flag, none");
  CHECK(json.at("number").as_number() == 1.5);
}

TEST_CASE("printed JSON is read back alike, and short parts stay in one line") {
  const std::string text =
      "{\n"
      "  \"kernels\": [\n"
      "    {\"kernel\": \"a\", \"problem\": {\"A\": 1, \"B\": true, \"C\": \"quote \\\" back \\\\ tab "
      "\\u0009\"}},\n"
      "    {\"kernel\": \"b\", \"measured\": {\"median_us\": 3.25, \"nothing\": [], \"list\": [1, 2, 3]}}\n"
      "  ]\n"
      "}\n";
  CHECK(print_json(parse_json("f.json", text)) == text);
}

}  // namespace sprue::codegen
