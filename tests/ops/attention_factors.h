// Features and shapes of attention as factors, of which a test of pairs takes one value each.
#pragma once

#include <functional>
#include <vector>

#include "ops/attention_case.h"

namespace sprue::test {

using Change = std::function<void(AttentionCase&)>;
using Factor = std::vector<Change>;  ///< Its values.

/// Those of a family of kernels; only the portable one does misaligned tensors.
std::vector<Factor> attention_factors(bool portable);
/// How many values each has, as covering_array() takes it.
std::vector<int> levels_of(const std::vector<Factor>& factors);
/// 4 sequences with these values. `row` may go on, for factors of the caller's.
AttentionCase case_of(const std::vector<Factor>& factors, const std::vector<int>& row);

}  // namespace sprue::test
