// A small kernel that the tests of this folder bend and break: its manifest, its template, and how to render
// it.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "codegen/manifest.h"
#include "codegen/render.h"
#include "sprue/error.h"

namespace sprue::codegen {

inline const std::string kScaleManifest = R"({
  "kernel": "scale",
  "operator": "scale",
  "summary": "y = 2 x",
  "architectures": ["sm_80", "sm_90a"],
  "problem": {
    "SCALAR": {"choice": ["f16", "bf16"], "doc": "Type of x and y."},
    "HIDDEN": {"integer": {"min": 8, "max": 4096, "multiple": 8}, "doc": "Elements of a row."},
    "HAS_BIAS": {"boolean": true, "default": false, "doc": "Add a bias."}
  },
  "schedule": {
    "WARPS": {"integer": [1, 2, 4, 8], "doc": "Warps per block."},
    "VEC": {"integer": {"min": 1, "max": 8}, "default": 4, "doc": "Elements per load."}
  },
  "launch": {"threads": "32 * WARPS", "shared_bytes": "HIDDEN * WARPS", "rows_per_block": "WARPS"},
  "rules": [
    {"rule": "HIDDEN % VEC == 0", "reason": "a row is whole vectors"},
    {"rule": "VEC != 3 && VEC < 5", "reason": "a vector has at most 8 bytes"}
  ],
  "defaults": [
    {"when": "HIDDEN <= 64 && SM >= 90", "schedule": {"WARPS": 2, "VEC": 2}, "measured": "H100, 3.1 us"},
    {"architectures": ["sm_80"], "schedule": {"WARPS": 4}},
    {"schedule": {"WARPS": 8}}
  ]
})";

inline const std::string kScaleTemplate = R"(// y = 2 x

// Problem: what is computed.
using scalar = device::${SCALAR};
constexpr int kHidden = ${HIDDEN};
constexpr bool kHasBias = ${HAS_BIAS};

// Schedule: how it is computed.
constexpr int kWarps = ${WARPS}, kVec = ${VEC};

// One warp per row.
__global__ void scale() {}
)";

/// `text` with the one place where `from` stands replaced by `to`.
inline std::string with(std::string text, std::string_view from, std::string_view to) {
  const std::size_t at = text.find(from);
  if (at == std::string::npos || text.find(from, at + 1) != std::string::npos) {
    throw Error("the sample must contain exactly once: " + std::string(from));
  }
  return text.replace(at, from.size(), to);
}

inline Manifest scale_manifest() {
  return parse_manifest("sample/scale.json", kScaleManifest);
}

/// The sample kernel's text with `body` behind its blocks, rendered; with device headers, if any.
inline std::string render_body(const std::string& body,
                               std::map<std::string, std::string, std::less<>> files = {}) {
  files["sample/scale.cu"] = kScaleTemplate + body;
  const Manifest manifest = scale_manifest();
  const KernelSpec spec =
      complete_spec(manifest, {{"SCALAR", "bf16"}, {"HIDDEN", std::int64_t{64}}}, {}, {8, 0});
  return render(TemplateStore(std::move(files)), manifest, spec).text;
}

/// What was rendered behind the sample kernel's blocks.
inline std::string rendered_body(const std::string& body,
                                 std::map<std::string, std::string, std::less<>> files = {}) {
  const std::string text = render_body(body, std::move(files)), last = "void scale() {}\n";
  return text.substr(text.find(last) + last.size());
}

/// The message of the error that `f` throws, or "no error".
template <class F>
std::string error_of(const F& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace sprue::codegen
