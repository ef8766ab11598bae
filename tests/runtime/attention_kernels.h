// Stand-ins for attention's kernels that do nothing, so that they compile at once and their manifests are
// known.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

#include "ops/attention_problem.h"
#include "ops/attention_sm90.h"
#include "runtime/fake_cuda.h"
#include "runtime/fixture.h"

namespace sprue {

inline constexpr const char* kAttentionProblem = R"(
      "SCALAR": {"choice": ["f16", "bf16"], "doc": ""},
      "HEAD_DIM": {"integer": {"min": 8, "max": 256, "multiple": 8}, "doc": ""},
      "HEAD_DIM_V": {"integer": {"min": 8, "max": 512, "multiple": 8}, "doc": ""},
      "CAUSAL": {"boolean": true, "default": false, "doc": ""},
      "WINDOW": {"boolean": true, "default": false, "doc": ""},
      "VARLEN": {"boolean": true, "default": false, "doc": ""},
      "PAGED": {"boolean": true, "default": false, "doc": ""},
      "SINKS": {"boolean": true, "default": false, "doc": ""},
      "HAS_LSE": {"boolean": true, "default": false, "doc": ""},
      "PACKED_HEADS": {"integer": [1, 2, 4, 8, 16, 32, 64], "default": 1, "doc": ""})";

/// attention_portable with tiles of 128 x 64, and attention_sm90, of which each block computes 128 rows and
/// which cannot do sinks.
class AttentionKernels : public Fixture {
 public:
  AttentionKernels() {
    add(kAttentionPortable, R"("sm_80", "sm_90")", R"(,
      "ALIGNMENT": {"integer": [16, 8, 4, 2], "default": 16, "doc": ""})",
        "", "true");
    add(kAttentionSm90, R"("sm_90a")", R"(,
      "SHORT": {"boolean": true, "default": false, "doc": ""})",
        R"(, "columns_per_tile": "BLOCK_N")", "!SINKS");
    fake_cuda = {};
    fake_cuda_set_device(0);
    fake_cuda.params_bytes = [](const char* kernel) {
      return std::string_view(kernel) == kAttentionSm90 ? sizeof(AttentionSm90Params)
                                                        : sizeof(AttentionArguments);
    };
  }
  RuntimeOptions options() {
    RuntimeOptions options = Fixture::options();
    options.disk_cache = false;
    return options;
  }

 private:
  void add(const std::string& kernel, const char* architectures, const char* more, const char* launch,
           const char* rule) const {
    const std::string path = "templates/attention/" + kernel;
    std::string text =
        "namespace device { struct f16; struct bf16; }\n// Problem: what is computed.\n"
        "using scalar = device::${SCALAR};\nconstexpr int kHeadDim = ${HEAD_DIM}, kHeadDimV = "
        "${HEAD_DIM_V};\n"
        "constexpr bool kCausal = ${CAUSAL}, kWindow = ${WINDOW}, kVarlen = ${VARLEN}, kPaged = ${PAGED};\n"
        "constexpr bool kSinks = ${SINKS}, kHasLse = ${HAS_LSE};\nconstexpr int kPackedHeads = "
        "${PACKED_HEADS};\n";
    text += kernel == kAttentionPortable ? "constexpr int kAlignment = ${ALIGNMENT};\n"
                                         : "constexpr bool kShort = ${SHORT};\n";
    text +=
        "\n// Schedule: how.\nconstexpr int kBlockM = ${BLOCK_M}, kBlockN = ${BLOCK_N};\n"
        "\nstruct Params { char bytes[2048]; };\n";
    write(path + ".cu",
          text + "extern \"C\" __global__ void " + kernel + "(const __grid_constant__ Params p) {}\n");
    write(path + ".json", fmt::format(R"({{
      "kernel": "{}", "operator": "attention", "summary": "", "architectures": [{}], "problem": {{{}{}}},
      "schedule": {{"BLOCK_M": {{"integer": [128], "doc": ""}}, "BLOCK_N": {{"integer": [96], "doc": ""}}}},
      "launch": {{"threads": "128", "shared_bytes": "0", "rows_per_block": "BLOCK_M",
                  "blocks_per_row": "(HEAD_DIM_V + 255) / 256"{}}},
      "rules": [{{"rule": "{}", "reason": "for tests"}}],
      "defaults": [{{"schedule": {{"BLOCK_M": 128, "BLOCK_N": 96}}}}]}})",
                                      kernel, architectures, kAttentionProblem, more, launch, rule));
  }
};

}  // namespace sprue
