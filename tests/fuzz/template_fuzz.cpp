// Feeds bytes to the renderer, as a template of a fixed kernel. Text behind a line "==== device/NAME.cuh" is
// that header.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "codegen/render.h"
#include "sprue/error.h"

namespace {

constexpr std::string_view kManifest = R"({
  "kernel": "scale", "operator": "scale", "summary": "y = 2 x", "architectures": ["sm_80"],
  "problem": {"SCALAR": {"choice": ["f16", "bf16"], "doc": ""}, "HAS_BIAS": {"boolean": true, "doc": ""}},
  "schedule": {"WARPS": {"integer": [1, 2, 4, 8], "doc": ""}},
  "launch": {"threads": "32 * WARPS", "shared_bytes": "0", "rows_per_block": "WARPS"},
  "defaults": [{"schedule": {"WARPS": 4}}]
})";

std::map<std::string, std::string, std::less<>> split(std::string_view text) {
  std::map<std::string, std::string, std::less<>> files;
  std::string path = "fuzz/scale.cu";
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size() - 1) + 1;
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end);
    if (line.starts_with("==== ") && line.ends_with("\n")) {
      path = line.substr(5, line.size() - 6);
    } else {
      files[path] += line;
    }
  }
  return files;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sprue;
  static const codegen::Manifest manifest = codegen::parse_manifest("fuzz/scale.json", kManifest);
  const KernelSpec spec{"scale", {{"SCALAR", "bf16"}, {"HAS_BIAS", true}}, {{"WARPS", std::int64_t{4}}}};
  try {
    const codegen::TemplateStore store(split({reinterpret_cast<const char*>(data), size}));
    const Source source = codegen::render(store, manifest, spec);
    if (source.text.find("${") != std::string::npos) __builtin_trap();
  } catch (const TemplateError&) {
  }
  return 0;
}
