// What activation and activation_backward have in common: the checks of their tensors, and what their kernels
// are specialised for.
#pragma once

#include <limits>

#include "ops/row_check.h"
#include "runtime/runtime_impl.h"
#include "sprue/ops/activation.h"

namespace sprue::ops {

/// How the checks of rows call their elements.
inline constexpr RowLength kActivationColumns{"columns", 0, std::numeric_limits<std::int64_t>::max()};
/// Of one dtype if both are given; the second only with a gate.
void check_bias_pair(const char* op, const View& bias, const View& gate_bias, bool gated);
struct ActivationProblem {
  DType scalar, bias_type;
  ActivationFunction function;
  std::int64_t most_columns, alignment;
  int row_dims;
  bool gated, has_bias;
  bool has_dbias = false, has_dgate_bias = false;

  KernelKey key(std::uint32_t kernel, int device) const;
  Request request(const char* kernel) const;
};

/// The next power of two, 1024 at most.
std::int64_t activation_columns(std::int64_t columns);
/// Tiles of a row: vectors of 16 bytes at most, as many as the threads of a block that share a row.
std::int64_t activation_tiles(const ActivationProblem& problem, const LaunchShape& launch,
                              std::int64_t columns);

}  // namespace sprue::ops
