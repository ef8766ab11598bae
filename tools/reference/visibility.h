// Which keys a query sees: the limits of sprue::Attention.
#pragma once

#include <cstdint>

namespace sprue::reference {

/// Keys first, ..., end - 1; end >= first.
struct KeyRange {
  std::int64_t first = 0, end = 0;
  std::int64_t size() const { return end - first; }
};

struct Visibility {
  bool causal = false;
  std::int64_t window_left = -1, window_right = -1;  ///< -1: no limit
  std::int64_t chunk = 0;                            ///< 0: no limit

  /// What the query at `position` sees of seqlen_k keys.
  KeyRange keys(std::int64_t position, std::int64_t seqlen_k) const;
};

}  // namespace sprue::reference
