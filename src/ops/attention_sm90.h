// The parameters of kernel_templates/attention/attention_sm90.cu: tensor maps, and the order of the tiles.
#pragma once

#include "driver/tensor_map.h"
#include "ops/attention_problem.h"

namespace sprue {

/// The kernel's one argument, as the template declares and describes it.
struct AttentionSm90Params {
  driver::TensorMap q, k, v, out;
  AttentionArguments arguments;
  unsigned* counter;
  int group, row_blocks, section, box_rows;
};

/// Whether tensor maps can describe q, k, v and out, which are 16-byte aligned: no stride runs backwards or
/// reaches 2^40 bytes.
bool has_tensor_maps(const AttentionViews& views);

/// How many neighbouring heads have their tiles visited together: under a causal mask as many as have their
/// keys and values in L2 together, else those that share them. Whole groups.
int heads_per_section(const AttentionProblem& problem, const AttentionArguments& arguments,
                      std::int64_t l2_bytes);

/// Of arguments whose row_blocks is set.
AttentionSm90Params sm90_params(const Attention& args, const AttentionLayout& layout,
                                const AttentionProblem& problem, const AttentionArguments& arguments,
                                const LoadedKernel& kernel);

}  // namespace sprue
