// Tuned schedules: reading, merging, and which row is chosen.
#include "codegen/tuned.h"

#include <unistd.h>

#include <filesystem>

#include "samples.h"
#include "support/catch.h"

namespace sprue::codegen {
namespace {

namespace fs = std::filesystem;

const std::string kFile = R"({
  "tuned": [
    {
      "kernel": "scale",
      "problem": {"HIDDEN": 4096, "SCALAR": "bf16"},
      "architectures": ["sm_90"],
      "schedule": {"WARPS": 8},
      "measured": {"device": "H100", "driver": "580", "nvrtc": "13.0", "date": "2025", "median_us": 3.25}
    },
    {"kernel": "scale", "problem": {}, "schedule": {"WARPS": 1}}
  ]
}
)";

std::string error_with(std::string_view from, std::string_view to) {
  return error_of([&] { parse_tuned("t.json", with(kFile, from, to)); });
}

TunedRow row(Values problem, std::vector<std::string> architectures, std::int64_t warps) {
  return {.kernel = "scale",
          .problem = std::move(problem),
          .architectures = std::move(architectures),
          .schedule = {{"WARPS", warps}},
          .measured = {},
          .origin = ""};
}

}  // namespace

TEST_CASE("tuned rows are read and written back alike") {
  const std::vector<TunedRow> rows = parse_tuned("t.json", kFile);
  REQUIRE(rows.size() == 2);
  CHECK(rows[0].kernel == "scale");
  CHECK(print(rows[0].problem) == "HIDDEN=4096 SCALAR=bf16");
  CHECK(rows[0].architectures == std::vector<std::string>{"sm_90"});
  CHECK(print(rows[0].schedule) == "WARPS=8");
  CHECK(rows[0].measured == Measurement{"H100", "580", "13.0", "2025", 3.25});
  CHECK(rows[0].origin == "t.json:3");
  CHECK(rows[1].origin == "t.json:10");
  CHECK(print_tuned(rows) == kFile);
}

TEST_CASE("tuned files are refused with line and column") {
  CHECK(error_with("\"tuned\"", "\"rows\"") == "t.json:2:3: unknown key \"rows\"; the keys here are tuned");
  CHECK(error_with("\"driver\"", "\"drivers\"") ==
        "t.json:8:38: unknown key \"drivers\"; did you mean driver?; the keys here are device, driver, "
        "nvrtc, date, median_us");
  CHECK(error_with("4096", "[4096]") ==
        "t.json:5:29: expected true, false, an integer or a string, but this is an array");
  CHECK(error_with("\"sm_90\"", "90") == "t.json:6:25: expected a string, but this is the integer 90");
  CHECK(error_with("3.25", "\"fast\"") == "t.json:8:101: expected a number, but this is the string \"fast\"");
  CHECK(error_of([] { parse_tuned("t.json", "[]"); }) ==
        "t.json:1:1: expected an object, but this is an array");
}

TEST_CASE("a merged row takes the place of its equal") {
  std::vector<TunedRow> rows = {row({{"HIDDEN", std::int64_t{64}}}, {"sm_90"}, 1), row({}, {}, 2)};
  merge_tuned(rows, {row({{"HIDDEN", std::int64_t{64}}}, {"sm_90"}, 3),
                     row({{"HIDDEN", std::int64_t{64}}}, {"sm_80"}, 4)});
  REQUIRE(rows.size() == 3);
  CHECK(print(rows[0].schedule) == "WARPS=3");
  CHECK(print(rows[1].schedule) == "WARPS=2");
  CHECK(print(rows[2].schedule) == "WARPS=4");
}

TEST_CASE("the last file that fits wins, and in it the most specific row") {
  const Values problem = {{"HIDDEN", std::int64_t{64}}, {"SCALAR", "bf16"}};
  const Architecture sm_90{9, 0};
  TunedTable table;
  const auto chosen = [&](const char* kernel = "scale") {
    const TunedRow* found = table.find(kernel, problem, sm_90);
    return found == nullptr ? "none" : print(found->schedule);
  };
  CHECK(chosen() == "none");
  table.add({row({{"HIDDEN", std::int64_t{64}}, {"SCALAR", "bf16"}}, {"sm_90"}, 1)});
  CHECK(chosen() == "WARPS=1");
  table.add({row({{"HIDDEN", std::int64_t{128}}}, {}, 2), row({}, {"sm_80"}, 3)});
  CHECK(chosen() == "WARPS=1");
  table.add({row({{"HIDDEN", std::int64_t{64}}}, {}, 4), row({}, {"sm_90"}, 5)});
  CHECK(chosen() == "WARPS=4");
  table.add({row({{"HIDDEN", std::int64_t{64}}}, {"sm_90"}, 6), row({{"HIDDEN", std::int64_t{64}}}, {}, 7)});
  CHECK(chosen() == "WARPS=6");
  table.add({row({}, {}, 8), row({}, {}, 9)});
  CHECK(chosen() == "WARPS=9");
  table.add({row({{"NOBODY", std::int64_t{64}}}, {}, 10)});
  CHECK(chosen() == "WARPS=9");
  CHECK(chosen("other") == "none");
}

TEST_CASE("tuned rows come from the store, from files and from directories, later ones win") {
  const fs::path directory = fs::temp_directory_path() / ("sprue_tuned_test_" + std::to_string(::getpid()));
  fs::create_directories(directory);
  const Architecture sm_90{9, 0};
  const TemplateStore store({{"tuned/a.json", print_tuned({row({}, {}, 1)})}});
  const auto chosen = [&](const std::vector<fs::path>& paths) {
    return print(TunedTable::load(store, paths).find("scale", {}, sm_90)->schedule);
  };
  CHECK(chosen({}) == "WARPS=1");
  CHECK(chosen({directory}) == "WARPS=1");
  write_tuned(directory / "b.json", {row({}, {}, 2)});
  write_tuned(directory / "a.json", {row({}, {}, 3)});
  CHECK(chosen({directory}) == "WARPS=2");
  CHECK(chosen({directory, directory / "a.json"}) == "WARPS=3");
  CHECK(read_tuned(directory / "absent.json").empty());
  CHECK_THAT(error_of([&] { TunedTable::load(store, {directory / "absent.json"}); }),
             EndsWith("absent.json does not exist"));
  fs::remove_all(directory);
}

}  // namespace sprue::codegen
