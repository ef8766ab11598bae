// Which specs a manifest allows.
#include <algorithm>

#include "codegen/manifest.h"
#include "samples.h"
#include "support/catch.h"

namespace sprue::codegen {
namespace {

const Architecture kSm80{8, 0}, kSm90a{9, 0, 'a'};

Values problem(std::int64_t hidden) {
  return {{"SCALAR", "f16"}, {"HIDDEN", hidden}};
}

std::string spec_text(const Values& problem, const Values& schedule, const Architecture& arch) {
  return error_of([&] { throw Error(print(complete_spec(scale_manifest(), problem, schedule, arch))); });
}

}  // namespace

TEST_CASE("a spec is completed by fallbacks and by the first default that matches") {
  CHECK(spec_text(problem(64), {}, kSm90a) == "scale HAS_BIAS=false HIDDEN=64 SCALAR=f16 | VEC=2 WARPS=2");
  CHECK(spec_text(problem(128), {}, kSm90a) == "scale HAS_BIAS=false HIDDEN=128 SCALAR=f16 | VEC=4 WARPS=8");
  CHECK(spec_text(problem(64), {}, kSm80) == "scale HAS_BIAS=false HIDDEN=64 SCALAR=f16 | VEC=4 WARPS=4");
  CHECK(spec_text(problem(64), {{"WARPS", std::int64_t{1}}}, kSm80) ==
        "scale HAS_BIAS=false HIDDEN=64 SCALAR=f16 | VEC=4 WARPS=1");
}

TEST_CASE("an illegal spec is refused in the caller's words") {
  CHECK(spec_text({{"SCALAR", "f16"}}, {}, kSm80) ==
        "[scale] the problem must name every parameter without a default, but lacks HIDDEN");
  CHECK(spec_text({{"SCALAR", "f16"}, {"HIDEN", std::int64_t{8}}}, {}, kSm80) ==
        "[scale] HIDEN is no problem parameter; did you mean HIDDEN?; the problem parameters are SCALAR, "
        "HIDDEN, HAS_BIAS");
  CHECK(spec_text(problem(12), {}, kSm80) ==
        "[scale] HIDDEN must be a multiple of 8 from 8 to 4096, but is 12");
  CHECK(spec_text({{"SCALAR", "f32"}, {"HIDDEN", std::int64_t{8}}}, {}, kSm80) ==
        "[scale] SCALAR must be f16 or bf16, but is f32");
  CHECK(spec_text({{"SCALAR", "f16"}, {"HIDDEN", true}}, {}, kSm80) ==
        "[scale] HIDDEN must be a multiple of 8 from 8 to 4096, but is true");
  CHECK(spec_text(problem(8), {{"WARPS", std::int64_t{3}}}, kSm80) ==
        "[scale] WARPS must be 1, 2, 4 or 8, but is 3");
  CHECK(spec_text(problem(8), {{"WARP", std::int64_t{4}}}, kSm80) ==
        "[scale] WARP is no schedule parameter; did you mean WARPS?; the schedule parameters are WARPS, VEC");
  CHECK(spec_text(problem(8), {{"VEC", std::int64_t{3}}}, kSm80) ==
        "[scale] a row is whole vectors: HIDDEN % VEC == 0 does not hold with HIDDEN=8 VEC=3");
  CHECK(spec_text(problem(24), {{"VEC", std::int64_t{3}}}, kSm80) ==
        "[scale] a vector has at most 8 bytes: VEC != 3 && VEC < 5 does not hold with VEC=3");
  CHECK(spec_text(problem(8), {}, {7, 5}) ==
        "[scale] sm_75 is none of the kernel's architectures, sm_80, sm_90a");
  CHECK(spec_text(problem(8), {}, {9, 0}) ==
        "[scale] sm_90 is none of the kernel's architectures, sm_80, sm_90a");
}

TEST_CASE("a rule about the problem alone is checked before there is a schedule") {
  const std::string text =
      with(kScaleManifest, "\"HIDDEN % VEC == 0\"", "\"HIDDEN % 16 == 0 || SCALAR == 'bf16'\"");
  const Manifest manifest = parse_manifest("sample/scale.json", text);
  CHECK(error_of([&] { complete_problem(manifest, problem(24)); }) ==
        "[scale] a row is whole vectors: HIDDEN % 16 == 0 || SCALAR == 'bf16' does not hold with HIDDEN=24 "
        "SCALAR=f16");
  CHECK(error_of([&] { complete_problem(manifest, problem(32)); }) == "no error");
}

TEST_CASE("a kernel for sm_80 may be built for later chips of that generation") {
  CHECK(spec_text(problem(8), {}, {8, 9}) == "scale HAS_BIAS=false HIDDEN=8 SCALAR=f16 | VEC=4 WARPS=8");
}

TEST_CASE("every block must fit in shared memory and in 1024 threads") {
  const auto why = [](std::string_view from, std::string_view to) {
    const Manifest manifest = parse_manifest("sample/scale.json", with(kScaleManifest, from, to));
    return why_illegal(manifest,
                       {"scale",
                        {{"SCALAR", "f16"}, {"HIDDEN", std::int64_t{4096}}, {"HAS_BIAS", false}},
                        {{"WARPS", std::int64_t{8}}, {"VEC", std::int64_t{4}}}},
                       {8, 6});
  };
  CHECK(why("HIDDEN * WARPS", "4 * HIDDEN * WARPS") ==
        "a block must not use more shared memory than the architecture has: SHARED_BYTES <= "
        "SHARED_BYTES_LIMIT does not hold "
        "with SHARED_BYTES=131072 SHARED_BYTES_LIMIT=101376");
  CHECK(why("32 * WARPS", "256 * WARPS") ==
        "a block must not have more than 1024 threads: THREADS <= 1024 does not hold with THREADS=2048");
  CHECK(why("32 * WARPS", "64 * WARPS") == "");
}

TEST_CASE("legal_schedules lists exactly the legal part of the product, in order") {
  const Manifest manifest = scale_manifest();
  for (const std::int64_t hidden : {8, 4096}) {
    const Values complete = complete_problem(manifest, problem(hidden));
    std::vector<Values> expected;
    for (const Value& warps : manifest.schedule[0].values) {
      for (const Value& vec : manifest.schedule[1].values) {
        const Values schedule = {{"WARPS", warps}, {"VEC", vec}};
        if (why_illegal(manifest, {"scale", complete, schedule}, kSm80).empty()) expected.push_back(schedule);
      }
    }
    CHECK(expected.size() == 12);
    CHECK(legal_schedules(manifest, complete, kSm80) == expected);
  }
  CHECK(legal_schedules(manifest, problem(64), {7, 5}).empty());
}

TEST_CASE("a rule is checked as soon as what it uses is chosen") {
  const auto schedules = [](const std::string& rules) {
    const std::string hundred = R"({"integer": {"min": 0, "max": 99}, "default": 0, "doc": ""})";
    const Manifest manifest = parse_manifest(
        "sample/wide.json",
        R"({"kernel": "wide", "operator": "wide", "summary": "", "architectures": ["sm_80"], "problem": {},
      "launch": {"threads": "A", "shared_bytes": "0", "rows_per_block": "1"}, "defaults": [{"schedule": {}}],
      "schedule": {"A": )" +
            hundred + R"(, "B": )" + hundred + R"(, "C": )" + hundred + R"(, "D": )" + hundred + R"(},
      "rules": [)" +
            rules + "]}");
    return legal_schedules(manifest, {}, kSm80);
  };
  const auto rule = [](const std::string& text) { return R"({"rule": ")" + text + R"(", "reason": ""})"; };
  CHECK(schedules(rule("THREADS == 7") + "," + rule("B == C") + "," + rule("C == D") + "," + rule("B < 3"))
            .size() == 3);
  CHECK(error_of([&] { schedules(rule("THREADS == 7 && B == C && C == D && D < 3")); }) ==
        "sample/wide.json: more than 1048576 schedules would have to be tried; list fewer values");
}

}  // namespace sprue::codegen
