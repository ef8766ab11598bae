// Sweep: one pass over a cache directory that evicts what was not used for longest and removes leftovers.
#pragma once

#include <cstdint>

#include "cache/directory.h"
#include "cache/store.h"

namespace sprue::cache {

/// If the entries have more than `limit` bytes, the least recently used go until at most `target` remain.
GcResult sweep(const Directory& directory, std::uint64_t limit, std::uint64_t target);

}  // namespace sprue::cache
