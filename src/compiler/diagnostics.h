// What compile errors quote from NVRTC's log, beside the parsers that compiler.h declares.
#pragma once

#include <string_view>

namespace sprue::compiler {

/// The first line of `log` that reports an error of the front end or of ptxas; else its first line.
std::string_view first_error(std::string_view log);

}  // namespace sprue::compiler
