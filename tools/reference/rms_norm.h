// RMS norm on the CPU: in double precision, and as a first attempt in low precision computes it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sprue/tensor.h"

namespace sprue::reference {

struct RmsNormInputs {
  std::int64_t rows = 0, hidden = 0;
  std::span<const float> x;       ///< [rows, hidden]
  std::span<const float> weight;  ///< [hidden]; empty: no scaling
  float eps = 1e-6f;
};

/// y [rows, hidden] in double precision throughout.
std::vector<double> rms_norm(const RmsNormInputs& inputs);

/// As one writes it first on tensors of `dtype`: sums are f32, rounded before and after the weight.
std::vector<float> naive_rms_norm(const RmsNormInputs& inputs, DType dtype);

}  // namespace sprue::reference
