// The parameters of kernel_templates/attention/attention_backward_sm90.cu and
// attention_backward_bias_sm90.cu: tensor maps; and where dq is added up.
#pragma once

#include "driver/tensor_map.h"
#include "ops/attention_backward_problem.h"
#include "runtime/kernel_table.h"

namespace sprue {

/// The kernels' one argument, as the templates declare and describe it.
struct AttentionBackwardSm90Params {
  driver::TensorMap q, k, v, dout, bias, dbias;
  AttentionBackwardArguments arguments;
};

/// The workspace in which dq is added up, in tiles of `block_m` queries: sums, and marks of the orders in
/// which blocks add to dq and to dbias, whose places are given in bytes from the sums'.
struct DqWorkspace {
  std::size_t sums_bytes, dbias_marks, bytes;
};
DqWorkspace dq_workspace(const AttentionBackwardProblem& problem, const AttentionBackwardArguments& arguments,
                         const AttentionLayout& layout, int block_m);

/// Of arguments whose members of the workspace and the launch are set.
AttentionBackwardSm90Params backward_sm90_params(const AttentionBackwardProblem& problem,
                                                 const AttentionBackwardArguments& arguments,
                                                 const AttentionLayout& layout, const LoadedKernel& kernel);

}  // namespace sprue
