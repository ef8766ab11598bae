// Tables, sizes and specs as text.
#include <nlohmann/json.hpp>

#include "core/architecture.h"
#include "output.h"
#include "spec_arguments.h"
#include "sprue/error.h"
#include "support/catch.h"
#include "table.h"

namespace sprue::tools {
namespace {

codegen::Manifest toy() {
  return codegen::parse_manifest("toy/toy.json", R"({
    "kernel": "toy", "operator": "toy", "summary": "", "architectures": ["sm_80"],
    "problem": {"SCALAR": {"choice": ["f16", "f32"], "doc": ""}, "FAST": {"boolean": true, "default": false, "doc": ""}},
    "schedule": {"THREADS": {"integer": [32, 64], "doc": ""}},
    "launch": {"threads": "THREADS", "shared_bytes": "0", "rows_per_block": "1"},
    "defaults": [{"schedule": {"THREADS": 64}}]})");
}

}  // namespace

TEST_CASE("a table aligns its columns and wraps the last") {
  Table table({{"name"}, {"size", Column::right}, {"words"}});
  table.add({"a", "1", "one two three four five six"});
  table.add({"long", "1000"});
  CHECK(table.print(36) ==
        "name  size  words\n"
        "a        1  one two three four five\n"
        "            six\n"
        "long  1000\n");
}

TEST_CASE("a long word is not broken") {
  CHECK(wrap("a bbbbbbbbbb c", 4) == std::vector<std::string>{"a", "bbbbbbbbbb", "c"});
  CHECK(wrap("", 4) == std::vector<std::string>{""});
}

TEST_CASE("sizes are told in the unit that people use") {
  CHECK(size_text(0) == "0 B");
  CHECK(size_text(1023) == "1023 B");
  CHECK(size_text(1024) == "1.0 KiB");
  CHECK(size_text(std::uint64_t{20} << 20) == "20 MiB");
}

TEST_CASE("assignments go to the problem and to the schedule") {
  const Request request = parse_request(toy(), {"SCALAR=f16", "THREADS=32", "FAST=true"});
  CHECK(print(request.problem) == "FAST=true SCALAR=f16");
  CHECK(print(request.schedule) == "THREADS=32");
  CHECK(print_short(toy(), request.problem) == "SCALAR=f16 FAST=true");
  CHECK(print_short(toy(), {{"SCALAR", std::string("f32")}, {"FAST", false}}) == "SCALAR=f32");
}

TEST_CASE("a wrong assignment says what is expected") {
  CHECK_THROWS_WITH(parse_request(toy(), {"SCALAR"}),
                    "a parameter must be written NAME=VALUE, such as SCALAR=..., but is 'SCALAR'");
  CHECK_THROWS_WITH(parse_request(toy(), {"SCALER=f16"}),
                    "toy has no parameter SCALER; it has SCALAR, FAST, THREADS; did you mean SCALAR?");
  CHECK_THROWS_WITH(parse_request(toy(), {"SCALAR=f64"}), "SCALAR must be f16 or f32, but is 'f64'");
  CHECK_THROWS_WITH(parse_request(toy(), {"FAST=true", "FAST=true"}),
                    "FAST must be given once, but is given twice");
}

TEST_CASE("architectures are separated by commas or given apart, and counted once") {
  const auto found = parse_architectures({"sm_80,sm_90a", "sm_80"});
  REQUIRE(found.size() == 2);
  CHECK(found[0].name() == "sm_80");
  CHECK(found[1].name() == "sm_90a");
  CHECK_THROWS_AS(parse_architectures({"sm_80,"}), ArgumentError);
  CHECK_THROWS_WITH(parse_architectures({"90"}), Contains("but is '90'"));
}

TEST_CASE("values survive JSON with their kinds") {
  const Values values{{"A", true}, {"B", std::int64_t{7}}, {"C", std::string("f16")}};
  CHECK(values_from_json(to_json(values)) == values);
}

}  // namespace sprue::tools
