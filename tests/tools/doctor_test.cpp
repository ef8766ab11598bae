// sprue doctor.
#include "driver/driver.h"
#include "support/catch.h"
#include "support/nvrtc.h"
#include "tools/sandbox.h"

namespace sprue::test {
namespace {

/// The text and advice of all findings of that level.
std::string findings(const nlohmann::ordered_json& json, const std::string& level) {
  std::string text;
  for (const auto& finding : json["findings"]) {
    if (finding["level"] != level) continue;
    text += finding["area"].get<std::string>() + ": " + finding["text"].get<std::string>() + " -> " +
            finding["advice"].get<std::string>() + '\n';
  }
  return text;
}

}  // namespace

TEST_CASE("doctor without a GPU is exit code 5, and all else is well") {
  SKIP_WITHOUT_NVRTC();
  if (driver::available()) SKIP_TEST("this machine has a GPU");
  Sandbox box;
  const Result result = box.run({"doctor"});
  CHECK(result.code == 5);
  CHECK_THAT(result.out, Contains("Kernels can be built on this machine, but not launched."));
  const auto json = box.run({"doctor", "--json"}).json();
  CHECK(json["exit_code"] == 5);
  CHECK_THAT(findings(json, "problem"), StartsWith("driver: "));
  CHECK_THAT(findings(json, "ok"), Contains("compiler: NVRTC 1"));
  CHECK_THAT(findings(json, "ok"),
             Contains("cache: " + box.file("cache") + ", which the first kernel will make"));
  CHECK(!std::filesystem::exists(box.file("cache")));
}

TEST_CASE("doctor names what is wrong and what to do") {
  Sandbox box;
  const auto problem = [&](int code) {
    const Result result = box.run({"doctor", "--json"});
    CHECK(result.code == code);
    return findings(result.json(), "problem");
  };
  SECTION("an environment variable") {
    box.set("SPRUE_CACHE_LIMIT", "much");
    CHECK_THAT(problem(2), Contains("SPRUE_CACHE_LIMIT must be a number of bytes"));
  }
  SECTION("a template") {
    box.write("templates/toy/toy.json", "{");
    CHECK_THAT(problem(3), Contains("toy/toy.json:1"));
  }
  SECTION("no compiler") {
    box.set("SPRUE_NVRTC", box.file("none.so"));
    CHECK_THAT(problem(4), Contains("none.so"));
    CHECK_THAT(problem(4), Contains("only prewarmed kernels can be launched"));
  }
  SECTION("a cache that others can write") {
    SKIP_WITHOUT_NVRTC();
    std::filesystem::create_directory(box.file("cache"));
    std::filesystem::permissions(box.file("cache"), std::filesystem::perms::all);
    CHECK_THAT(problem(6), Contains(box.file("cache")));
  }
}

TEST_CASE("doctor warns of variables that have no effect and of read-only tiers that are none") {
  Sandbox box;
  box.set("SPRUE_CASHE_DIR", "/tmp");
  box.set("SPRUE_CACHE_READONLY", box.file("absent.pack"));
  const std::string warnings = findings(box.run({"doctor", "--json"}).json(), "warning");
  CHECK_THAT(warnings, Contains("SPRUE_CASHE_DIR=/tmp has no effect; did you mean SPRUE_CACHE_DIR?"));
  CHECK_THAT(warnings, Contains("absent.pack"));
}

}  // namespace sprue::test
