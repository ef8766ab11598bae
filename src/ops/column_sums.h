// ColumnSums: the second stage of sums over rows, of which every block left one row in a workspace.
#pragma once

#include <optional>

#include "runtime/runtime_impl.h"
#include "runtime/workspace.h"
#include "sprue/tensor.h"

namespace sprue::ops {

/// Sums into up to two tensors [columns] of one dtype. Throws what impl.kernel() does when it is made, before
/// anything is launched.
class ColumnSums {
 public:
  ColumnSums(RuntimeImpl& impl, DType dtype, int device, Stream stream);
  static void prepare(RuntimeImpl& impl, DType dtype, int device);

  /// Rows of `blocks` for the first stage to write; of this call alone. `targets` with null data are not
  /// wanted.
  void allocate(const Tensor& first, const Tensor& second, std::int64_t blocks, std::int64_t columns);
  /// Where block 0's rows of a target are; nullptr if it is not wanted.
  float* rows(int target) const { return rows_[target]; }
  void launch(const char* op);

 private:
  RuntimeImpl& impl_;
  const LoadedKernel& kernel_;
  Stream stream_;
  void* targets_[2] = {};
  float* rows_[2] = {};
  std::int64_t blocks_ = 0, columns_ = 0;
  std::optional<Workspace> workspace_;
};

}  // namespace sprue::ops
