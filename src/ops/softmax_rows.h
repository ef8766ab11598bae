// What softmax and softmax_backward have in common: the checks of their rows, and what their kernels are
// specialised for.
#pragma once

#include "ops/check.h"
#include "ops/rows.h"
#include "runtime/runtime_impl.h"

namespace sprue::ops {

/// `view` has 1 to 2^24 columns of a type that operators compute with, and queries if `causal`.
void check_softmax_rows(const char* op, const View& view, bool causal, bool with_data);
/// A tensor like `of`.
void check_softmax_like(const char* op, const View& view, const View& of, const ViewRules& rules);
void check_softmax_scale(const char* op, float scale);

struct SoftmaxProblem {
  DType scalar;
  std::int64_t most_columns, alignment;
  int row_dims;
  bool has_mask, causal;

  KernelKey key(std::uint32_t kernel, int device) const;
  Request request(const char* kernel) const;
};

/// The next power of two.
std::int64_t most_columns(std::int64_t columns);
/// Of rows of so many columns: the largest of 8, 4, 2 and 1 that also divides them.
std::int64_t softmax_alignment(std::int64_t of_views, std::int64_t columns);
/// The dimension in front of the columns, 1 where there is none.
int queries_of(const View& view);

}  // namespace sprue::ops
