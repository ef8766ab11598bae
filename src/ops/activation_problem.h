// What activation and activation_backward have in common: the checks of their tensors, and what their kernels
// are specialised for.
#pragma once

#include "ops/check.h"
#include "runtime/runtime_impl.h"
#include "sprue/ops/activation.h"

namespace sprue::ops {

/// [..., columns] of a type that operators compute with.
void check_activation_rows(const char* op, const View& view, bool with_data);
/// A tensor like `of`.
void check_activation_like(const char* op, const View& view, const View& of, const ViewRules& rules);
/// [columns] of `rows`; nothing if it is not given.
void check_activation_bias(const char* op, const View& bias, const View& rows, const ViewRules& rules);
/// Of one dtype if both are given; the second only with a gate.
void check_bias_pair(const char* op, const View& bias, const View& gate_bias, bool gated);
/// `output` is one of the inputs or apart from it.
void check_in_place(const char* op, const View& output, const View& input);

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
/// The largest of 8, 4, 2 and 1 that divides the columns and what `views` is of.
std::int64_t activation_alignment(std::int64_t of_views, std::int64_t columns);
/// Tiles of a row: vectors of 16 bytes at most, as many as the threads of a block that share a row.
std::int64_t activation_tiles(const ActivationProblem& problem, const LaunchShape& launch,
                              std::int64_t columns);

}  // namespace sprue::ops
