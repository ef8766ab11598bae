// What the kernels of attention's gradients are called with: struct BackwardArguments of
// kernel_templates/attention/backward_arguments.cuh.
#pragma once

#include <cstddef>

#include "ops/attention_arguments.h"
#include "sprue/ops/attention_backward.h"

namespace sprue {

/// Member by member that of the template, where they are described. A test compares the two.
struct AttentionBackwardArguments {
  using Strides = AttentionArguments::Strides;

  AttentionArguments forward;
  const void* dout;
  void *dq, *dk, *dv;
  Strides dout_stride, dq_stride, dk_stride, dv_stride;
  void* dbias;
  Strides dbias_stride;
  float *dslopes, *dsinks;
  std::array<long long, 2> dslope_stride;
  long long dsink_stride;
  void* stats;
  float* slope_rows;
  Strides row_stride;
  float* dq_sums;
  std::uint32_t *dq_marks, *dbias_marks;
  long long dq_chunks;
  int key_blocks;  ///< Left to the launch, as all that points into the workspace.
  int bias_batch, bias_heads, bias_q, bias_k;
};

/// Of checked arguments.
AttentionBackwardArguments attention_backward_arguments(const AttentionBackward& args,
                                                        const AttentionLayout& layout);

/// Rows of queries, those of every head: as many as lse has elements.
std::int64_t count_rows(const AttentionBackwardArguments& arguments, const AttentionLayout& layout);

}  // namespace sprue
