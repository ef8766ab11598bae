// Rotary position embedding on the CPU: in double precision, and as a first attempt in low precision computes
// it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sprue/tensor.h"

namespace sprue::reference {

/// x [tokens, heads, head_dim]; positions [tokens]; cos, sin [table positions, rotary_dim / 2]; row-major.
struct RopeInputs {
  std::int64_t heads = 1, head_dim = 2, rotary_dim = 2;
  std::span<const float> x = {};
  std::span<const std::int64_t> positions = {};
  std::span<const float> cos = {}, sin = {};
  std::span<const float> norm_weight = {};  ///< Empty: no norm.
  float norm_eps = 1e-6f;
  bool interleaved = false, conjugate = false;
};

std::vector<double> rope(const RopeInputs& inputs);
/// Rounded to `dtype` after every step.
std::vector<float> naive_rope(const RopeInputs& inputs, DType dtype);

}  // namespace sprue::reference
