// What cross_entropy and cross_entropy_partials have in common: the kernel cross_entropy_forward.
#pragma once

#include "ops/check.h"
#include "runtime/runtime_impl.h"
#include "sprue/ops/cross_entropy.h"

namespace sprue::ops {

/// Null where something is not given or not wanted. Checked before.
struct CrossEntropyForward {
  const ConstTensor& logits;
  const ConstTensor& labels;
  const Tensor& dlogits;
  const LossOptions& options;
  std::int64_t class_start, total_classes;
  const void *precomputed_lse = nullptr, *inverse_count = nullptr;
  void *loss = nullptr, *z_loss = nullptr, *lse = nullptr;
  bool has_precomputed_lse = false, has_partials = false;
  void* partials = nullptr;
};
void cross_entropy_forward(const char* op, RuntimeImpl& impl, const CrossEntropyForward& args, Stream stream);
KernelInfo prepare_cross_entropy_forward(const char* op, RuntimeImpl& impl, const CrossEntropyForward& args);

}  // namespace sprue::ops
