// Covering arrays: a few test cases in which every two values of every two factors meet.
#pragma once

#include <vector>

namespace sprue::test {

/// Rows of one level per factor, 0 to levels[factor] - 1. Each pair of levels of two factors is in some row;
/// there are hardly more rows than the product of the two largest numbers of levels. The same on every
/// machine.
std::vector<std::vector<int>> covering_array(const std::vector<int>& levels);

}  // namespace sprue::test
