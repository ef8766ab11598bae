// What the kernels of attention's gradients are specialised for.
#pragma once

#include "ops/attention_backward_arguments.h"
#include "ops/attention_backward_check.h"
#include "ops/attention_problem.h"

namespace sprue {

/// The kernels, in the order in which they are launched.
/// `keys` is done by attention_backward_keys, or by attention_backward_sm90 or attention_backward_fused,
/// which also add up dq: then `dq` rounds it, and `queries` need not be done. `bias` is done by
/// attention_backward_bias or attention_backward_bias_sm90.
enum class BackwardStep : std::uint8_t { delta, queries, keys, dq, bias, heads };

inline constexpr char kBackwardKeys[] = "attention_backward_keys";
inline constexpr char kBackwardFused[] = "attention_backward_fused";
inline constexpr char kBackwardSm90[] = "attention_backward_sm90";
inline constexpr char kBackwardBiasSm90[] = "attention_backward_bias_sm90";

/// The problem parameters of the kernels' manifests, where they are described.
struct AttentionBackwardProblem {
  AttentionProblem forward;  ///< Without what only the forward kernels know.
  bool slope_rows = false;   ///< dslopes is wanted.
  bool dsinks = false;
  AttentionProblem::Bias dbias = AttentionProblem::Bias::none;  ///< The gradient's type.
  bool one_row = false;                                         ///< The bias is the same for all queries.
  bool deterministic = false;  ///< Of dq; known to attention_backward_sm90 alone.
  bool bias_map = false;       ///< There is a tensor map of the bias; known to sm_90a kernels alone.
  bool dbias_by_keys = false;  ///< attention_backward_sm90 may write dbias too; then `bias` need not be done.
  bool any_order = false;      ///< dq may be added up in any order, and there is some; known to `keys` alone.
  int block_m = 0;  ///< Queries of a tile of the kernel that adds up dq, if one does; known to `dq` alone.

  bool needs(BackwardStep step) const;
  /// Packed without loss; of what the step's kernel is specialised for alone.
  KernelKey key(BackwardStep step, int device) const;
  /// Names what differs from the manifests' defaults. `keys` is attention_backward_keys.
  Request request(BackwardStep step) const;
  /// Whether an sm_90a kernel may do the step, should the device have it.
  bool has_sm90(BackwardStep step) const;
  /// If has_sm90(step): of that kernel.
  Request sm90_request(BackwardStep step) const;
  /// If any_order: of attention_backward_fused.
  Request fused_request() const;
};

AttentionBackwardProblem specialise(const AttentionBackward& args, const AttentionLayout& layout,
                                    const AttentionBackwardViews& views,
                                    const AttentionBackwardArguments& arguments);

}  // namespace sprue
