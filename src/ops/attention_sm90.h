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
  int group, section, last_section, box_rows;
};

/// Whether tensor maps can describe q, k, v and out, which are 16-byte aligned: no stride runs backwards or
/// reaches 2^40 bytes.
bool has_tensor_maps(const AttentionViews& views);

/// Whether pages of so many keys are copied to shared memory where tensor maps can write: to multiples of 128
/// bytes.
bool pages_fit(const AttentionProblem& problem, int page_size);

/// Whether tiles differ in how many keys they visit: blocks then draw them from a counter.
bool tiles_differ(const AttentionProblem& problem);

/// How many neighbouring heads, of one sequence or several, have their tiles visited together; whole groups that
/// share keys. With few of them many blocks read the same keys at once, and the longest of their tiles are visited
/// late; with many of them fewer find their keys in L2.
int heads_per_section(const AttentionProblem& problem, const AttentionArguments& arguments);

/// Of arguments whose row_blocks is set.
AttentionSm90Params sm90_params(const Attention& args, const AttentionLayout& layout,
                                const AttentionProblem& problem, const AttentionArguments& arguments,
                                const LoadedKernel& kernel, std::uint32_t* counter);

}  // namespace sprue
