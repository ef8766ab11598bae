// What an attention kernel is called with: struct Arguments of kernel_templates/attention/arguments.cuh.
#pragma once

#include <array>
#include <cstdint>

#include "ops/attention_check.h"
#include "sprue/ops.h"

namespace sprue {

/// Member by member that of the template, where they are described. A test compares the two.
struct AttentionArguments {
  using Strides = std::array<long long, 3>;

  const void *q, *k, *v;
  void* out;
  float* lse;
  Strides q_stride, k_stride, v_stride, out_stride;
  Strides lse_stride;
  const int *cu_seqlens_q, *cu_seqlens_k, *seqused_q, *seqused_k;
  const int* block_table;
  std::array<long long, 2> block_table_stride;
  const void* bias;
  Strides bias_stride;
  const float *alibi_slopes, *sinks;
  std::array<long long, 2> slope_stride;
  long long sink_stride;
  void* probabilities;
  Strides probabilities_stride;
  std::array<std::uint32_t, 14> dropout_keys;
  unsigned long long dropout_offset;
  int batch, heads, kv_heads;
  int seqlen_q, seqlen_k;
  int page_size;
  int window_left, window_right, chunk;
  int keep_threshold;
  float keep_scale;
  float scale, softcap, empty_lse;
  float capping;   ///< scale / softcap; 0 without a softcap.
  int row_blocks;  ///< Left to the launch.
};

/// A window that no sequence reaches the end of. Positions are less than 2^30, so sums of the two fit an int.
inline constexpr int kNoWindow = (1 << 30) - 1;

/// The first `count` strides of a tensor whose first dimension, the batch, may be missing.
template <std::size_t count>
std::array<long long, count> outer_strides(const Extents& extents, int rank) {
  std::array<long long, count> stride{};
  const auto missing = static_cast<std::size_t>(rank - extents.rank);
  for (std::size_t i = missing; i < count; ++i) stride[i] = extents.stride[i - missing];
  return stride;
}

/// How many blocks the rows of a head get. The lengths of packed sequences are not known on the host, but
/// each of them starts at most one block that it does not fill.
inline std::int64_t blocks_of(std::int64_t rows, int rows_per_block, bool packed, int batch) {
  return packed ? rows / rows_per_block + batch : (rows + rows_per_block - 1) / rows_per_block;
}

/// Of checked arguments. Limits that cannot matter are kNoWindow; as can those to the right of a causal mask.
AttentionArguments attention_arguments(const Attention& args, const AttentionLayout& layout);

}  // namespace sprue
