// Near names for error messages: "; did you mean HEAD_DIM?"
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sprue::codegen {

/// "; did you mean NAME?" for the known name that is closest to `given`; empty when none is close.
std::string did_you_mean(std::string_view given, const std::vector<std::string>& known);
/// "a, b, c"
std::string join(const std::vector<std::string>& names);

}  // namespace sprue::codegen
