// Every limit narrows the range from one side. Windows may be as large as an integer can be.
#include "reference/visibility.h"

#include <algorithm>

namespace sprue::reference {
namespace {

std::int64_t floor_divide(std::int64_t a, std::int64_t b) {
  return a / b - (a % b < 0 ? 1 : 0);
}

}  // namespace

KeyRange Visibility::keys(std::int64_t position, std::int64_t seqlen_k) const {
  std::int64_t first = 0, end = seqlen_k;
  if (causal) end = std::min(end, position + 1);
  if (window_left >= 0 && window_left < position) first = position - window_left;
  if (window_right >= 0 && window_right < seqlen_k - 1 - position) {
    end = std::min(end, position + window_right + 1);
  }
  if (chunk > 0) {
    const std::int64_t start = floor_divide(position, chunk) * chunk;
    first = std::max(first, start);
    end = std::min(end, start + chunk);
  }
  return {first, std::max(first, end)};
}

}  // namespace sprue::reference
