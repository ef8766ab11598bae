// Specs and architectures as they are written on the command line.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "codegen/manifest.h"
#include "core/architecture.h"
#include "core/values.h"
#include "runtime/runtime_impl.h"

namespace sprue::tools {

/// {"HEAD_DIM=128", "BLOCK_N=64"} for a kernel: each value goes where its parameter belongs. ArgumentError
/// otherwise.
Request parse_request(const codegen::Manifest& manifest, const std::vector<std::string>& assignments);

/// {"sm_80,sm_90a"} or {"sm_80", "sm_90a"}, each once.
std::vector<Architecture> parse_architectures(const std::vector<std::string>& texts);

/// As print(), in the manifest's order and without the values that parameters have by default.
std::string print_short(const codegen::Manifest& manifest, const Values& problem);

/// The architecture named, else this machine's first GPU. ArgumentError if there is neither.
Architecture chosen_architecture(const std::string& text);

nlohmann::ordered_json to_json(const Value& value);
nlohmann::ordered_json to_json(const Values& values);
Values values_from_json(const nlohmann::ordered_json& json);

}  // namespace sprue::tools
