// The renderer's strictness, rule by rule, and its limits. What it writes is in golden/.
#include "codegen/render.h"

#include "samples.h"
#include "support/catch.h"

namespace sprue::codegen {
namespace {

using Files = std::map<std::string, std::string, std::less<>>;

std::string body_error(const std::string& body, Files files = {}) {
  return error_of([&] { render_body(body, std::move(files)); });
}

/// The sample kernel's text with one place changed.
std::string text_error(std::string_view from, std::string_view to) {
  return error_of([&] {
    const TemplateStore store({{"sample/scale.cu", with(kScaleTemplate, from, to)}});
    const Manifest manifest = scale_manifest();
    render(store, manifest,
           complete_spec(manifest, {{"SCALAR", "bf16"}, {"HIDDEN", std::int64_t{64}}}, {}, {8, 0}));
  });
}

}  // namespace

// The sample ends in line 12; a body starts in line 13.

TEST_CASE("an unknown name is refused where it stands") {
  CHECK(text_error("${HIDDEN}", "${HIDDIN}") ==
        "sample/scale.cu:5:27: unknown parameter HIDDIN; did you mean HIDDEN?");
  CHECK(body_error("//% if HAS_BAIS\n//% end\n") ==
        "sample/scale.cu:13:8: HAS_BAIS is no parameter or loop variable; did you mean HAS_BIAS?");
  CHECK(body_error("//% if false\n//% if NOBODY == 1\n//% end\n//% end\n") ==
        "sample/scale.cu:14:8: NOBODY is no parameter or loop variable");
  CHECK(body_error("//% for i in 0..j\n//% end\n") ==
        "sample/scale.cu:13:17: j is no parameter or loop variable");
  CHECK(body_error("//% for i in 0..2\n//% end\nx${i}\n") ==
        "sample/scale.cu:15:4: i is no variable of a loop around this line");
}

TEST_CASE("an unused parameter is refused") {
  CHECK(text_error("${HIDDEN}", "64") ==
        "sample/scale.cu: the parameter HIDDEN is unused: ${HIDDEN} does not stand in the Problem block and "
        "no directive names "
        "it");
  CHECK(text_error(", kVec = ${VEC}", "") ==
        "sample/scale.cu: the parameter VEC is unused: ${VEC} does not stand in the Schedule block and no "
        "directive names it");
  CHECK(text_error(", kVec = ${VEC};", ";\n//% if VEC == 1\n//% end\n") == "no error");
}

TEST_CASE("a parameter stands only in its block") {
  CHECK(body_error("int x = ${HIDDEN};\n") ==
        "sample/scale.cu:13:11: ${HIDDEN} may stand only in the Problem block; elsewhere use the constant "
        "bound to it there, "
        "kHidden");
  CHECK(text_error("kWarps = ${WARPS}", "kWarps = ${HAS_BIAS}") ==
        "sample/scale.cu:9:26: ${HAS_BIAS} may stand only in the Problem block; elsewhere use the constant "
        "bound to it there, "
        "kHasBias");
  CHECK(text_error("kHidden = ${HIDDEN}", "kHidden = ${WARPS}") ==
        "sample/scale.cu:5:27: ${WARPS} may stand only in the Schedule block; elsewhere use the constant "
        "bound to it there, "
        "kWarps");
  CHECK(text_error("constexpr int kHidden", "\nconstexpr int kHidden") ==
        "sample/scale.cu:6:27: ${HIDDEN} may stand only in the Problem block; elsewhere use the constant "
        "bound to it there, "
        "kHidden");
  CHECK(body_error("//% for i in 0..2\n${i * HIDDEN}\n//% end\n") ==
        "sample/scale.cu:14:3: ${i * HIDDEN} may use loop variables only, but uses the parameter HIDDEN");
}

TEST_CASE("a leftover ${ is refused") {
  CHECK(body_error("// ${\n") == "sample/scale.cu:13:4: this ${ has no } in its line");
  CHECK(body_error("// ${}\n") == "sample/scale.cu:13:6: expected a value, but the expression ends here");
  CHECK(body_error("// ${a b}\n") == "sample/scale.cu:13:8: expected an operator, but found 'b'");
}

TEST_CASE("directives must be known, well-formed and balanced") {
  CHECK(body_error("  //% esle\n") ==
        "sample/scale.cu:13:3: unknown directive 'esle'; did you mean else?; the directives are if, elif, "
        "else, for, include, "
        "end");
  CHECK(body_error("//%\n") ==
        "sample/scale.cu:13:1: unknown directive ''; the directives are if, elif, else, for, include, end");
  CHECK(body_error("//% if true\n") == "sample/scale.cu:13:1: this if has no `//% end`");
  CHECK(body_error("//% for i in 0..1\n") == "sample/scale.cu:13:1: this for has no `//% end`");
  CHECK(body_error("//% end\n") == "sample/scale.cu:13:1: end without an if or for");
  CHECK(body_error("//% else\n") == "sample/scale.cu:13:1: else without an if");
  CHECK(body_error("//% for i in 0..1\n//% elif true\n//% end\n") ==
        "sample/scale.cu:14:1: elif without an if");
  CHECK(body_error("//% if true\n//% else\n//% elif true\n//% end\n") ==
        "sample/scale.cu:15:1: elif after else");
  CHECK(body_error("//% if true\n//% else if\n//% end\n") ==
        "sample/scale.cu:14:10: nothing may follow else, but found 'if'");
  CHECK(body_error("//% if true\n//% end if\n") ==
        "sample/scale.cu:14:9: nothing may follow end, but found 'if'");
  CHECK(body_error("//% if\n//% end\n") == "sample/scale.cu:13:1: expected a condition after if");
  CHECK(body_error("//% if 1\n//% end\n") ==
        "sample/scale.cu:13:8: expected a condition, but '1' is the integer 1");
  CHECK(body_error("//% for i = 0..2\n//% end\n") ==
        "sample/scale.cu:13:1: expected `for i in LOW..HIGH`, but found `for i = 0..2`");
  CHECK(body_error("//% for I in 0..2\n//% end\n") ==
        "sample/scale.cu:13:9: a loop variable must look like i or key_tile, but is 'I'");
  CHECK(body_error("//% for i in 0..2\n//% for i in 0..2\n//% end\n//% end\n") ==
        "sample/scale.cu:14:1: the variable i is already that of a loop around this one");
  CHECK(body_error("//% for i in 0..HAS_BIAS\n//% end\n") ==
        "sample/scale.cu:13:17: expected an integer, but 'HAS_BIAS' is the boolean false");
}

TEST_CASE("a block is opened once") {
  CHECK(body_error("// Schedule: again\n") ==
        "sample/scale.cu:13:1: this block has already been opened in line 8");
}

TEST_CASE("includes must exist, must be headers and must not be cycles") {
  const Files files = {{"device/a.cuh", "//% include \"device/b.cuh\"\n"},
                       {"device/b.cuh", "\n  //% include \"device/a.cuh\"\n"},
                       {"device/deep.cuh", "int deep = ${HIDDEN};\n"},
                       {"device/odd.cu", ""}};
  CHECK(body_error("//% include \"device/c.cuh\"\n", files) ==
        "sample/scale.cu:13:1: there is no file device/c.cuh; did you mean device/a.cuh?");
  CHECK(body_error("//% include \"device/a.cuh\"\n", files) ==
        "device/b.cuh:2:3: a file must not include itself: device/a.cuh -> device/b.cuh -> device/a.cuh");
  CHECK(body_error("//% if false\n//% include \"device/a.cuh\"\n//% end\n", files) ==
        "device/b.cuh:2:3: a file must not include itself: device/a.cuh -> device/b.cuh -> device/a.cuh");
  CHECK(body_error("//% include \"device/odd.cu\"\n", files) ==
        "sample/scale.cu:13:1: only .cuh files can be included, not device/odd.cu");
  CHECK(body_error("//% include device/a.cuh\n", files) ==
        "sample/scale.cu:13:1: expected `include \"device/name.cuh\"`, but found `include device/a.cuh`");
  CHECK(body_error("//% for i in 0..1\n//% include \"device/a.cuh\"\n//% end\n", files) ==
        "sample/scale.cu:14:1: an include must not stand inside a for");
  CHECK(body_error("//% include \"device/deep.cuh\"\n", files) ==
        "device/deep.cuh:1:14: ${HIDDEN} may stand only in the Problem block; elsewhere use the constant "
        "bound to it there, "
        "kHidden");
}

TEST_CASE("a header is inlined once") {
  const Files files = {{"device/a.cuh", "#pragma once\nint a;\n"},
                       {"device/b.cuh", "//% include \"device/a.cuh\"\nint b;\n"}};
  CHECK(rendered_body(
            "//% include \"device/a.cuh\"\n//% include \"device/b.cuh\"\n//% include \"device/a.cuh\"\n",
            files) == "\nint a;\n\nint b;\n");
  CHECK(
      rendered_body("//% if HAS_BIAS\n//% include \"device/a.cuh\"\n//% end\n//% include \"device/b.cuh\"\n",
                    files) == "\nint a;\n\nint b;\n");
}

TEST_CASE("rendering ends, whatever the template asks for") {
  CHECK(body_error("//% for i in 0..4097\n//% end\n") ==
        "sample/scale.cu:13:1: a for may run at most 4096 times, but this one runs from 0 to 4097");
  CHECK(body_error("//% for i in 0 - 9223372036854775807..9223372036854775807\n//% end\n") ==
        "sample/scale.cu:13:1: a for may run at most 4096 times, but this one runs from -9223372036854775807 "
        "to "
        "9223372036854775807");
  CHECK(rendered_body("//% for i in 5..3\nnever\n//% end\n") == "");
  CHECK(body_error("//% for i in 0..4096\n//% for j in 0..4096\n//% end\n//% end\n") ==
        "sample/scale.cu:14:1: rendering takes more than 262144 steps; are loops nested too far?");
  CHECK(body_error("//% for i in 0..4096\n//" + std::string(5000, 'x') + "\n//% end\n") ==
        "sample/scale.cu:14:1: the rendered text exceeds 16777216 bytes here");
  std::string nested;
  for (int i = 0; i < 1000; ++i) nested += "//% if true\n";
  CHECK(body_error(nested) == "sample/scale.cu:45:1: directives may be nested at most 32 deep");
  Files files;
  for (int i = 0; i < 100; ++i) {
    files["device/" + std::to_string(i) + ".cuh"] =
        "//% include \"device/" + std::to_string(i + 1) + ".cuh\"\n";
  }
  CHECK(body_error("//% include \"device/0.cuh\"\n", files) ==
        "device/30.cuh:1:1: includes may be nested at most 32 deep");
}

TEST_CASE("the launch may give several blocks one unit of work") {
  const auto launch = [](const std::string& blocks) {
    const Manifest manifest = parse_manifest(
        "sample/scale.json",
        with(kScaleManifest, "\"rows_per_block\": \"WARPS\"", "\"rows_per_block\": \"1\"" + blocks));
    return launch_shape(
        manifest, complete_spec(manifest, {{"SCALAR", "bf16"}, {"HIDDEN", std::int64_t{64}}}, {}, {8, 0}));
  };
  CHECK(launch("").blocks_per_row == 1);
  CHECK(launch(", \"blocks_per_row\": \"WARPS / 2\"").blocks_per_row == 2);
  CHECK_THROWS_WITH(launch(", \"blocks_per_row\": \"WARPS - 4\""),
                    Contains("WARPS - 4 must be from 1 to 2^31 - 1, but is 0"));
  CHECK_FALSE(launch("").walks);
  CHECK(launch(", \"walks\": \"WARPS > 1\"").walks);
  CHECK_FALSE(launch(", \"walks\": \"WARPS < 1\"").walks);
  CHECK_THROWS_AS(launch(", \"walks\": \"WARPS\""), TemplateError);
  CHECK_FALSE(launch("").programmatic);
  CHECK(launch(", \"programmatic\": \"true\"").programmatic);
}

TEST_CASE("odd bytes are refused or left alone") {
  CHECK(body_error(std::string("int\0x;\n", 7)) ==
        "sample/scale.cu:13:4: a template must not contain NUL bytes");
  CHECK(rendered_body("int x;\r\n// caf\xc3\xa9 \xff") == "int x;\n// caf\xc3\xa9 \xff\n");
}

TEST_CASE("only a complete spec is rendered") {
  const TemplateStore store({{"sample/scale.cu", kScaleTemplate}});
  const Manifest manifest = scale_manifest();
  KernelSpec spec = complete_spec(manifest, {{"SCALAR", "bf16"}, {"HIDDEN", std::int64_t{64}}}, {}, {8, 0});
  spec.schedule.erase("WARPS");
  CHECK(error_of([&] { render(store, manifest, spec); }) ==
        "[scale] the schedule must name every parameter without a default, but lacks WARPS");
}

TEST_CASE("a launch must be possible") {
  const TemplateStore store({{"sample/scale.cu", kScaleTemplate}});
  const Manifest manifest = parse_manifest(
      "sample/scale.json",
      with(kScaleManifest, "\"rows_per_block\": \"WARPS\"", "\"rows_per_block\": \"WARPS - 4\""));
  const KernelSpec spec =
      complete_spec(manifest, {{"SCALAR", "bf16"}, {"HIDDEN", std::int64_t{64}}}, {}, {8, 0});
  CHECK(error_of([&] { render(store, manifest, spec); }) ==
        "sample/scale.json:15:92: WARPS - 4 must be from 1 to 2^31 - 1, but is 0");
}

TEST_CASE("rendering is deterministic and says what was rendered") {
  CHECK(render_body("int x;\n") == render_body("int x;\n"));
  CHECK_THAT(render_body(""),
             StartsWith("// Rendered by Sprue: scale HAS_BIAS=false HIDDEN=64 SCALAR=bf16 | VEC=4 WARPS=4\n\n"
                        "// y = 2 x\n"));
}

}  // namespace sprue::codegen
