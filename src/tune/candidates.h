// candidates: which schedules of a kernel are tried when there are more than one cares to compile.
#pragma once

#include <cstddef>
#include <vector>

#include "core/values.h"

namespace sprue::tune {

/// `baseline` first, then at most `most` - 1 others of `legal`, evenly spread over its order. 0: all of them.
std::vector<Values> candidates(const std::vector<Values>& legal, const Values& baseline, std::size_t most);

}  // namespace sprue::tune
