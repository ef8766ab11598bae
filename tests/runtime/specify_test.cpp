// Which schedule a problem gets, and which architecture a device.
#include "runtime/fixture.h"
#include "support/catch.h"

using namespace sprue;

namespace {

std::string specify(RuntimeImpl& runtime, std::int64_t value, const char* arch = "sm_90",
                    const Values& schedule = {}) {
  return print(runtime.specify({"tiny", {{"VALUE", value}}, schedule}, architecture(arch)));
}

std::string tuned(int value, const char* arch, int warps) {
  return R"({"tuned": [{"kernel": "tiny", "problem": {"VALUE": )" + std::to_string(value) +
         R"(}, "architectures": [")" + arch + R"("], "schedule": {"WARPS": )" + std::to_string(warps) +
         "}}]}";
}

}  // namespace

TEST_CASE("the manifest's defaults apply when nothing was tuned") {
  Fixture fixture;
  RuntimeImpl runtime(fixture.options());
  CHECK(specify(runtime, 1) == "tiny VALUE=1 | WARPS=1");
  CHECK(specify(runtime, 51) == "tiny VALUE=51 | WARPS=4");
  CHECK(specify(runtime, 1, "sm_90", {{"WARPS", std::int64_t{2}}}) == "tiny VALUE=1 | WARPS=2");
}

TEST_CASE("a tuned row changes the schedule of its problem and architecture") {
  Fixture fixture;
  fixture.write("tuned.json", tuned(1, "sm_90", 8));
  RuntimeOptions options = fixture.options();
  options.tuned = {fixture.directory / "tuned.json"};
  RuntimeImpl runtime(options);
  CHECK(specify(runtime, 1) == "tiny VALUE=1 | WARPS=8");
  CHECK(specify(runtime, 2) == "tiny VALUE=2 | WARPS=1");
  CHECK(specify(runtime, 1, "sm_80") == "tiny VALUE=1 | WARPS=1");
  CHECK(specify(runtime, 1, "sm_90", {{"WARPS", std::int64_t{2}}}) == "tiny VALUE=1 | WARPS=2");
}

TEST_CASE("a later tuned file wins") {
  Fixture fixture;
  fixture.write("a/tuned.json", tuned(1, "sm_90", 8));
  fixture.write("b.json", tuned(1, "sm_90", 2));
  RuntimeOptions options = fixture.options();
  options.tuned = {fixture.directory / "a", fixture.directory / "b.json"};
  RuntimeImpl runtime(options);
  CHECK(specify(runtime, 1) == "tiny VALUE=1 | WARPS=2");
}

TEST_CASE("a tuned row that is not legal gives way to the defaults, with a warning") {
  Fixture fixture;
  fixture.write("tuned.json", tuned(13, "sm_90", 8));
  RuntimeOptions options = fixture.options();
  options.tuned = {fixture.directory / "tuned.json"};
  RuntimeImpl runtime(options);
  CHECK(specify(runtime, 13) == "tiny VALUE=13 | WARPS=1");
  CHECK_THAT(fixture.log(),
             Contains("[tiny] the tuned schedule at " + (fixture.directory / "tuned.json").string()) &&
                 Contains("13 brings bad luck"));
}

TEST_CASE("a tuned file that is missing or malformed is refused at once") {
  Fixture fixture;
  RuntimeOptions options = fixture.options();
  options.tuned = {fixture.directory / "none.json"};
  CHECK_THROWS_AS(RuntimeImpl(options), ArgumentError);
  fixture.write("none.json", "{]");
  CHECK_THROWS_AS(RuntimeImpl(options), TemplateError);
}

TEST_CASE("an illegal request is refused by name") {
  Fixture fixture;
  RuntimeImpl runtime(fixture.options());
  CHECK_THROWS_AS(specify(runtime, 101), ArgumentError);
  CHECK_THROWS_WITH(specify(runtime, 13, "sm_90", {{"WARPS", std::int64_t{8}}}),
                    Contains("13 brings bad luck"));
  CHECK_THROWS_WITH(runtime.manifest("tine"), Contains("did you mean tiny?"));
}

TEST_CASE("a device gets the newest listed architecture that runs on it") {
  Fixture fixture;
  RuntimeImpl runtime(fixture.options());
  codegen::Manifest manifest;
  manifest.operation = "op";
  manifest.architectures = {"sm_80", "sm_86", "sm_90", "sm_90a", "sm_100f"};
  const auto target = [&](const char* device) {
    return runtime.target(manifest, architecture(device)).name();
  };
  CHECK(target("sm_80") == "sm_80");
  CHECK(target("sm_87") == "sm_86");
  CHECK(target("sm_89") == "sm_86");
  CHECK(target("sm_90") == "sm_90a");
  CHECK(target("sm_100") == "sm_100f");
  CHECK(target("sm_103") == "sm_100f");
  CHECK_THROWS_WITH(target("sm_75"),
                    "[op] the device must be one that kernels for sm_80, sm_86, sm_90, sm_90a, sm_100f "
                    "run on, but is sm_75");
  CHECK_THROWS_AS(target("sm_120"), ArgumentError);
  manifest.architectures = {"sm_86"};
  CHECK(target("sm_80") == "sm_80");
}
