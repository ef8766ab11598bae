// What the kernels of cross entropy are given alike: terms of the loss, and where rows lie.
#pragma once

#include "ops/check.h"
#include "ops/rows.h"
#include "sprue/ops/cross_entropy.h"

namespace sprue::ops {

/// As kernel_templates/cross_entropy/labels.cuh has it.
struct LossTerms {
  long long ignore_index, total_classes;
  float logit_scale, softcap, smoothing, lse_square_scale;
};

inline LossTerms loss_terms(const LossOptions& options, std::int64_t total_classes) {
  return {options.ignore_index, total_classes,           options.logit_scale,
          options.softcap,      options.label_smoothing, options.lse_square_scale};
}

/// One element for all rows of `labels`.
inline Extents same_for_all(Extents labels) {
  labels.stride = {};
  return as_rows(labels);
}

/// Elements that move at once: 16 bytes of them, unless rows of dlogits are misaligned in another way than
/// those of logits.
inline std::int64_t vector_elements(const View& logits, const View& dlogits) {
  const std::int64_t vec = 16 / static_cast<std::int64_t>(logits.element_bytes());
  if (!dlogits.given()) return vec;
  std::uint64_t differences = (logits.first ^ dlogits.first) % 16;
  for (int i = 0; i + 1 < logits.extents.rank; ++i) {
    const auto stride = [i](const View& view) {
      return static_cast<std::uint64_t>(view.extents.stride[i]) * view.element_bytes();
    };
    if (logits.extent(i) != 1) differences |= (stride(logits) - stride(dlogits)) % 16;
  }
  return differences == 0 ? vec : 1;
}

/// MOST_CLASSES of the kernels.
inline std::int64_t most_classes(const View& logits) {
  return most_columns(logits.extent(logits.extents.rank - 1));
}

/// Fewer blocks of one row each leave much of a GPU idle.
constexpr std::int64_t kFewRows = 128;

}  // namespace sprue::ops
