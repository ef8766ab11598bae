// Cases: the shapes with which operators are measured and tuned, as text and as JSON.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "reference/attention.h"
#include "sprue/tensor.h"

namespace sprue::tools {

struct AttentionCase {
  reference::AttentionShape shape;
  DType dtype = DType::bf16;
  bool lse = false;
};

struct RmsNormCase {
  std::int64_t rows = 1, hidden = 1;
  DType dtype = DType::bf16;
  bool weight = true;
};

using Case = std::variant<AttentionCase, RmsNormCase>;

/// "batch 1, seqlen 8192 x 8192, heads 16 / 16, head_dim 128, causal, bf16"
std::string describe(const Case& shape);

/// "f32", "f16" or "bf16"; ArgumentError otherwise.
DType parse_dtype(std::string_view name);

/// The case that an object such as {"rows": 4096, "hidden": 8192, "dtype": "f16"} describes. ArgumentError
/// for keys that the operator does not have, keys that are missing, and values that make no sense.
Case parse_case(const std::string& op, const nlohmann::ordered_json& json);
/// The same from "rows=4096,hidden=8192,dtype=f16".
Case parse_case_text(const std::string& op, std::string_view text);
/// The list of an operator in {"attention": [{...}, ...], "rms_norm": [...]}. TemplateError names the file.
std::vector<Case> read_cases(const std::string& op, const std::filesystem::path& file);

/// What is measured when nothing is asked for.
std::vector<Case> default_cases(const std::string& op);

/// What the two forms above accept; for --help.
extern const char* const kCaseHelp;

}  // namespace sprue::tools
