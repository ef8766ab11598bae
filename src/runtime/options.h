// What the options leave open: the default cache directory.
#pragma once

#include <filesystem>

#include "sprue/runtime.h"

namespace sprue {

/// $XDG_CACHE_HOME/sprue, else $HOME/.cache/sprue, else empty. Relative values do not count, as the XDG
/// standard says.
std::filesystem::path default_cache_directory();

/// ArgumentError for options that contradict themselves or name files that are not there.
void check(const RuntimeOptions& options);

}  // namespace sprue
