// Thins a list of schedules evenly, so that every parameter still takes all its values.
#include "tune/candidates.h"

#include <algorithm>
#include <iterator>

namespace sprue::tune {

std::vector<Values> candidates(const std::vector<Values>& legal, const Values& baseline, std::size_t most) {
  std::vector<Values> others;
  std::copy_if(legal.begin(), legal.end(), std::back_inserter(others),
               [&](const Values& schedule) { return schedule != baseline; });
  const std::size_t kept = most == 0 ? others.size() : std::min(others.size(), most - 1);
  std::vector<Values> chosen = {baseline};
  for (std::size_t i = 0; i < kept; ++i) chosen.push_back(others[i * others.size() / kept]);
  return chosen;
}

}  // namespace sprue::tune
