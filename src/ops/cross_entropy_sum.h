// What a batch's rows have in common, by the kernel cross_entropy_sum.
#pragma once

#include <cstdint>

#include "ops/check.h"
#include "runtime/runtime_impl.h"
#include "sprue/ops/cross_entropy.h"

namespace sprue::ops {

/// Null where something is not given or not wanted.
struct CrossEntropySum {
  const ConstTensor& labels;
  const LossOptions& options;
  std::int64_t total_classes;
  const float *losses = nullptr, *z_losses = nullptr;  ///< [rows]
  float *loss = nullptr, *z_loss = nullptr, *inverse_count = nullptr;
  int* bad_labels = nullptr;
};
void cross_entropy_sum(const char* op, RuntimeImpl& impl, const CrossEntropySum& args, Stream stream);
void prepare_cross_entropy_sum(RuntimeImpl& impl, const ConstTensor& labels);

}  // namespace sprue::ops
