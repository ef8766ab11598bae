// The parameters of kernel_templates/attention/attention_sm90.cu: tensor maps, and the order of the tiles.
#pragma once

#include "driver/tensor_map.h"
#include "ops/attention_problem.h"

namespace sprue {

/// The kernel's one argument, as the template declares and describes it.
struct AttentionSm90Params {
  driver::TensorMap q, k, v, out;
  AttentionArguments arguments;
  std::uint32_t* counter;
  int group, section, box_rows;
};

/// Whether tensor maps can describe q, k, v and out, which are 16-byte aligned: no stride runs backwards or
/// reaches 2^40 bytes.
bool has_tensor_maps(const AttentionViews& views);

/// Whether pages of so many keys are copied to shared memory where tensor maps can write: to multiples of 128
/// bytes.
bool pages_fit(const AttentionProblem& problem, int page_size);

/// Whether tiles differ in how many keys they visit: blocks then draw them from a counter.
bool tiles_differ(const AttentionProblem& problem);

/// How many neighbouring heads have their tiles visited together. Where tiles differ, as many as have their
/// keys and values in L2 together, but enough that every block finds a tile, else those that share them.
/// Whole groups of one sequence.
int heads_per_section(const AttentionProblem& problem, const AttentionArguments& arguments,
                      std::int64_t l2_bytes);

/// Of arguments whose row_blocks is set.
AttentionSm90Params sm90_params(const Attention& args, const AttentionLayout& layout,
                                const AttentionProblem& problem, const AttentionArguments& arguments,
                                const LoadedKernel& kernel, std::uint32_t* counter);

}  // namespace sprue
