// Why two cache entries are two: the first fields of their key records that differ.
#pragma once

#include <string>

namespace sprue::tools {

/// `a` and `b` are entry files, or names in the cache. ArgumentError if there is no such entry.
std::string explain_diff(const std::string& a, const std::string& b);

}  // namespace sprue::tools
