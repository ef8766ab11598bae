// Cases: the shapes with which operators are measured and tuned, as text and as JSON.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "operators/operator.h"

namespace sprue::tools {

/// The case that an object such as {"rows": 4096, "hidden": 8192, "dtype": "f16"} describes. ArgumentError
/// for keys that the operator does not have, keys that are missing, and values that make no sense.
Case parse_case(const Operator& op, const nlohmann::ordered_json& json);
/// The same from "rows=4096,hidden=8192,dtype=f16". A value may be a list: "lengths=5,17,3,heads=8".
Case parse_case_text(const Operator& op, std::string_view text);
/// The list of an operator in {"attention": [{...}, ...], "rms_norm": [...]}. TemplateError names the file.
std::vector<Case> read_cases(const Operator& op, const std::filesystem::path& file);

/// What is measured when nothing is asked for.
std::vector<Case> default_cases(const Operator& op);

}  // namespace sprue::tools
