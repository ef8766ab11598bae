// Manifests: what is read, and the texts of the complaints.
#include "codegen/manifest.h"

#include "samples.h"
#include "support/catch.h"

namespace sprue::codegen {
namespace {

std::string error_with(std::string_view from, std::string_view to) {
  return error_of([&] { parse_manifest("sample/scale.json", with(kScaleManifest, from, to)); });
}

}  // namespace

TEST_CASE("a manifest is read") {
  const Manifest manifest = scale_manifest();
  CHECK(manifest.kernel == "scale");
  CHECK(manifest.family == "sample");
  CHECK(manifest.operation == "scale");
  CHECK(manifest.architectures == std::vector<std::string>{"sm_80", "sm_90a"});
  CHECK(manifest.template_path() == "sample/scale.cu");
  REQUIRE(manifest.problem.size() == 3);
  CHECK(manifest.problem[0].legal_values() == "f16 or bf16");
  CHECK(manifest.problem[1].legal_values() == "a multiple of 8 from 8 to 4096");
  CHECK(manifest.problem[2].legal_values() == "false or true");
  CHECK(manifest.problem[2].fallback == Value(false));
  REQUIRE(manifest.schedule.size() == 2);
  CHECK(manifest.schedule[0].legal_values() == "1, 2, 4 or 8");
  CHECK(manifest.schedule[1].values.size() == 8);
  CHECK(manifest.rules.size() == 2);
  REQUIRE(manifest.defaults.size() == 3);
  CHECK(manifest.defaults[0].measured == "H100, 3.1 us");
  CHECK(print(manifest.defaults[2].schedule) == "VEC=4 WARPS=8");
  CHECK(manifest.find("VEC") == &manifest.schedule[1]);
  CHECK(manifest.find("VEX") == nullptr);
}

TEST_CASE("manifest errors name line, column, what was expected and what was given") {
  CHECK(error_with("\"summary\"", "\"sumary\"") ==
        "sample/scale.json:4:3: unknown key \"sumary\"; did you mean summary?; the keys here are kernel, "
        "operator, summary, "
        "architectures, problem, schedule, rules, launch, defaults");
  CHECK(error_with("\"summary\": \"y = 2 x\",\n", "") ==
        "sample/scale.json:1:1: the key \"summary\" is missing here");
  CHECK(error_with("\"kernel\": \"scale\"", "\"kernel\": \"scales\"") ==
        "sample/scale.json:2:13: the kernel must be named after its file, scale, but is named scales");
  CHECK(error_with("\"sm_90a\"", "\"sm90\"") ==
        "sample/scale.json:5:30: an architecture must look like sm_80 or sm_90a, but is \"sm90\"");
  CHECK(error_with("\"HIDDEN\":", "\"hidden\":") ==
        "sample/scale.json:8:5: a parameter's name must look like HEAD_DIM, but is \"hidden\"");
  CHECK(error_with("\"HIDDEN\":", "\"SM\":") == "sample/scale.json:8:5: the name SM is reserved for rules");
  CHECK(error_with("\"WARPS\": {", "\"HIDDEN\": {") ==
        "sample/scale.json:12:5: HIDDEN is a problem parameter and cannot be a schedule parameter too");
  CHECK(error_with("\"boolean\": true", "\"boolean\": false") ==
        "sample/scale.json:9:29: \"boolean\" only marks the kind and must be true; use \"default\"");
  CHECK(error_with("\"boolean\": true, ", "") ==
        "sample/scale.json:9:17: HAS_BIAS must have exactly one of the keys boolean, integer and choice");
  CHECK(error_with("[\"f16\", \"bf16\"]", "[]") ==
        "sample/scale.json:7:26: the list of choices must not be empty");
  CHECK(error_with("[\"f16\", \"bf16\"]", "[\"f 16\"]") ==
        "sample/scale.json:7:27: a choice must be made of letters, digits and _, but is \"f 16\"");
  CHECK(error_with("[1, 2, 4, 8]", "[1, 2, 2]") == "sample/scale.json:12:33: the value 2 is listed twice");
  CHECK(error_with("\"max\": 4096", "\"max\": 4095") ==
        "sample/scale.json:8:45: max must be a multiple of 8, but is 4095");
  CHECK(error_with("\"max\": 4096", "\"max\": 0") ==
        "sample/scale.json:8:27: min must not exceed max, but 8 > 0");
  CHECK(error_with("\"multiple\": 8", "\"multiple\": 0") ==
        "sample/scale.json:8:63: multiple must be at least 1, but is 0");
  CHECK(error_with("\"max\": 8}", "\"max\": 9999}") ==
        "sample/scale.json:13:12: a schedule parameter may have at most 1024 values, but VEC has 9999");
  CHECK(error_with("\"default\": 4", "\"default\": 9") ==
        "sample/scale.json:13:57: the default of VEC must be an integer from 1 to 8, but is 9");
  CHECK(error_with("32 * WARPS", "32 * WRAPS") ==
        "sample/scale.json:15:31: WRAPS is no parameter; did you mean WARPS?");
  CHECK(error_with("32 * WARPS", "32 * SM") == "sample/scale.json:15:31: SM is no parameter");
  CHECK(error_with("HIDDEN % VEC == 0", "HIDDEN % == 0") ==
        "sample/scale.json:17:24: expected a value, but found '== 0'");
  CHECK(error_with("HIDDEN <= 64 &&", "WARPS <= 64 &&") ==
        "sample/scale.json:21:15: WARPS is no problem parameter, SM or SHARED_BYTES_LIMIT");
  CHECK(error_with("{\"WARPS\": 8}", "{}") == "sample/scale.json:23:18: WARPS is missing in this schedule");
  CHECK(error_with("{\"WARPS\": 8}", "{\"WARPS\": 3}") ==
        "sample/scale.json:23:28: WARPS must be 1, 2, 4 or 8, but is 3");
  CHECK(error_with("{\"WARPS\": 8}", "{\"WARP\": 8}") ==
        "sample/scale.json:23:19: WARP is no schedule parameter; did you mean WARPS?");
  CHECK(error_with("{\"schedule\": {\"WARPS\": 8}}",
                   "{\"when\": \"SM == 80\", \"schedule\": {\"WARPS\": 8}}") ==
        "sample/scale.json:23:5: the last default must hold for every problem: it may have neither \"when\" "
        "nor "
        "\"architectures\"");
}

TEST_CASE("a kernel and its family are named by the path") {
  CHECK(error_of([] {
          parse_manifest("sample/Scale.json",
                         with(kScaleManifest, "\"kernel\": \"scale\"", "\"kernel\": \"Scale\""));
        }) == "sample/Scale.json:2:13: a kernel's name must look like rms_norm, but is Scale");
}

TEST_CASE("a parameter named THREADS must be what is launched") {
  const std::string renamed = with(kScaleManifest, "\"VEC\": {", "\"THREADS\": {");
  CHECK_THAT(error_of([&] { parse_manifest("sample/scale.json", renamed); }),
             EndsWith("there is a parameter THREADS, so \"threads\" must be THREADS, but is 32 * WARPS"));
}

TEST_CASE("manifests are found in a store") {
  const TemplateStore store({{"sample/scale.json", kScaleManifest},
                             {"sample/scale.cu", kScaleTemplate},
                             {"device/types.cuh", ""},
                             {"tuned/h100.json", "{}"},
                             {"prewarm.json", "{}"}});
  REQUIRE(manifests(store).size() == 1);
  CHECK(manifests(store)[0].kernel == "scale");
  CHECK(manifest(store, "scale").kernel == "scale");
  CHECK(error_of([&] { manifest(store, "scael"); }) ==
        "there is no kernel 'scael'; did you mean scale?; the kernels are scale");
  CHECK(error_of([] {
          manifests(TemplateStore({{"sample/scale.json", kScaleManifest}}));
        }) == "sample/scale.json: there is no template sample/scale.cu beside this manifest");
  CHECK(error_of([] {
          manifests(TemplateStore({{"sample/scale.json", kScaleManifest},
                                   {"sample/scale.cu", ""},
                                   {"other/scale.json", kScaleManifest},
                                   {"other/scale.cu", ""}}));
        }) == "sample/scale.json: the kernel scale is also in other");
}

TEST_CASE("values are read as a person types them") {
  const Manifest manifest = scale_manifest();
  CHECK(manifest.find("SCALAR")->parse("bf16") == Value(std::string("bf16")));
  CHECK(manifest.find("HIDDEN")->parse("64") == Value(std::int64_t{64}));
  CHECK(manifest.find("HAS_BIAS")->parse("true") == Value(true));
  CHECK(error_of([&] { manifest.find("HIDDEN")->parse("65"); }) ==
        "HIDDEN must be a multiple of 8 from 8 to 4096, but is '65'");
  CHECK(error_of([&] { manifest.find("HIDDEN")->parse("64x"); }) ==
        "HIDDEN must be a multiple of 8 from 8 to 4096, but is '64x'");
  CHECK(error_of([&] { manifest.find("HAS_BIAS")->parse("1"); }) ==
        "HAS_BIAS must be false or true, but is '1'");
}

TEST_CASE("a list of architectures admits suffixes, but a suffix admits only itself") {
  const Architecture sm_90{9, 0}, sm_90a{9, 0, 'a'};
  CHECK(admits({}, sm_90));
  CHECK(admits({"sm_80", "sm_90"}, sm_90));
  CHECK(admits({"sm_90"}, sm_90a));
  CHECK(admits({"sm_90a"}, sm_90a));
  CHECK_FALSE(admits({"sm_90a"}, sm_90));
  CHECK_FALSE(admits({"sm_80"}, sm_90));
}

}  // namespace sprue::codegen
