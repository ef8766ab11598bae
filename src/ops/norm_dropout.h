// Dropout as the kernels of norms do it.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "ops/philox.h"
#include "sprue/ops/dropout.h"

namespace sprue {

/// How many of 65536 elements are kept, and what they are multiplied by.
struct DropoutRule {
  explicit DropoutRule(const Dropout& dropout)
      : kept_of_65536(
            static_cast<std::uint32_t>(std::max(1L, std::lround((1 - dropout.probability) * 65536.0)))),
        factor(1 / (1 - dropout.probability)) {}

  std::uint32_t kept_of_65536;
  float factor;
};

}  // namespace sprue
