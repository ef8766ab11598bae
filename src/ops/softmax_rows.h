// What softmax and softmax_backward have in common: the checks of their rows, and their kernels'
// specialisation and launch.
#pragma once

#include "ops/check.h"
#include "runtime/runtime_impl.h"

namespace sprue::ops {

/// `view` has 1 to 2^24 columns of a type that operators compute with, and queries if `causal`; the scale is
/// finite.
void check_softmax(const char* op, const View& view, bool causal, float scale, bool with_data);

/// The dimension in front of the columns, 1 where there is none.
int queries_of(const View& view);

struct SoftmaxProblem {
  const char* kernel;
  std::uint32_t id;  ///< Of the kernel.
  DType scalar;
  std::int64_t most_columns, alignment;
  int row_dims;
  bool has_mask, causal;

  /// `params` is the kernel's one argument.
  void launch(const char* op, RuntimeImpl& impl, std::int64_t rows, const void* params, Stream stream) const;
  KernelInfo prepare(RuntimeImpl& impl) const;

 private:
  KernelKey key() const;
  Request request() const;
};

}  // namespace sprue::ops
