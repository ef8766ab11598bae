// The verbs of `sprue cache` that write.
#pragma once

#include <CLI/CLI.hpp>

namespace sprue::tools {

void setup_cache_changes(CLI::App& group);

}  // namespace sprue::tools
