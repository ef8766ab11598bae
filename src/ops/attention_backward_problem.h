// What the kernels of attention's gradients are specialised for.
#pragma once

#include "ops/attention_backward_arguments.h"
#include "ops/attention_backward_check.h"
#include "ops/attention_problem.h"

namespace sprue {

/// The kernels, in the order in which they are launched.
enum class BackwardStep : std::uint8_t { delta, queries, keys, bias, heads };

/// The problem parameters of the kernels' manifests, where they are described.
struct AttentionBackwardProblem {
  AttentionProblem forward;  ///< Without what only the forward kernels know.
  bool slope_rows = false;   ///< dslopes is wanted.
  bool dsinks = false;
  AttentionProblem::Bias dbias = AttentionProblem::Bias::none;  ///< The gradient's type.
  bool one_row = false;                                         ///< The bias is the same for all queries.

  bool needs(BackwardStep step) const;
  /// Packed without loss; of what the step's kernel is specialised for alone.
  KernelKey key(BackwardStep step, int device) const;
  /// Names what differs from the manifests' defaults.
  Request request(BackwardStep step) const;
};

AttentionBackwardProblem specialise(const AttentionBackward& args, const AttentionLayout& layout,
                                    const AttentionBackwardViews& views,
                                    const AttentionBackwardArguments& arguments);

}  // namespace sprue
