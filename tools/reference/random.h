// Random input: the value at an index depends only on the seed and the index, so threads and runs agree.
#pragma once

#include <cstdint>
#include <vector>

#include "sprue/tensor.h"

namespace sprue::reference {

/// `count` values of a normal distribution times `deviation`, each rounded to `dtype`.
std::vector<float> random_normal(std::int64_t count, std::uint64_t seed, DType dtype, float deviation = 1);

}  // namespace sprue::reference
