// Tensor maps of attention_backward_sm90 and attention_backward_bias_sm90, and workspace.
#include "ops/attention_backward_sm90.h"

#include "ops/tile_map.h"

namespace sprue {
namespace {

/// Columns of a tile that is cut in halves: what the template calls kColumns, and kColumnsV where warpgroups
/// own columns.
int padded_columns(int head_dim) {
  return (head_dim + 31) / 32 * 32;
}

}  // namespace

DqWorkspace dq_workspace(const AttentionBackwardProblem& problem, const AttentionBackwardArguments& arguments,
                         const AttentionLayout& layout, int block_m) {
  const AttentionArguments& forward = arguments.forward;
  const auto blocks =
      static_cast<std::size_t>(blocks_of(forward.seqlen_q, block_m, layout.packed_q, forward.batch));
  const auto heads =
      static_cast<std::size_t>(forward.heads) * static_cast<std::size_t>(layout.packed_q ? 1 : forward.batch);
  const std::size_t tiles = blocks * heads,
                    tile_bytes = sizeof(float) * static_cast<std::size_t>(block_m) *
                                 static_cast<std::size_t>(padded_columns(problem.forward.head_dim));
  const auto marks_bytes = [](std::size_t marks) { return (sizeof(std::uint32_t) * marks + 15) / 16 * 16; };
  constexpr std::size_t kFewestKeys = 64;  // of a block
  const auto keys = static_cast<std::size_t>(forward.seqlen_k),
             kv_heads = static_cast<std::size_t>(forward.kv_heads);
  const bool shares_dbias = problem.dbias_by_keys && arguments.bias_batch < forward.batch;
  DqWorkspace workspace;
  workspace.sums_bytes = tiles * tile_bytes;
  workspace.dbias_marks = workspace.sums_bytes + (problem.deterministic ? marks_bytes(tiles) : 0);
  workspace.bytes = workspace.dbias_marks +
                    (shares_dbias ? marks_bytes(kv_heads * ((keys + kFewestKeys - 1) / kFewestKeys)) : 0);
  return workspace;
}

AttentionBackwardSm90Params backward_sm90_params(const AttentionBackwardProblem& problem,
                                                 const AttentionBackwardArguments& arguments,
                                                 const AttentionLayout& layout, const LoadedKernel& kernel) {
  const AttentionArguments& forward = arguments.forward;
  const LaunchShape& launch = kernel.launch;
  const int block_m = launch.columns_per_tile, block_n = launch.rows_per_block;
  const int columns = problem.forward.head_dim, columns_v = problem.forward.head_dim_v;
  // Which columns a product has to start at: a warpgroup that owns columns, as those of
  // attention_backward_sm90 may, multiplies half of them, and half of those of k belong to a tile of 64
  // queries.
  const bool owns_columns = kernel.id == kernel_id(kBackwardSm90) && block_n == 64;
  const int of_tile = padded_columns(columns) / (owns_columns ? 2 : 1);
  const int of_tile_k = padded_columns(columns) / (block_m == 64 ? 2 : 1);
  const int of_tile_v = owns_columns ? padded_columns(columns_v) / 2 : columns_v;
  const DType dtype = problem.forward.scalar;
  const int batch_q = layout.packed_q ? 1 : forward.batch, batch_k = layout.packed_k ? 1 : forward.batch;
  AttentionBackwardSm90Params params;
  params.q = map_of(forward.q, forward.q_stride, dtype, batch_q, forward.heads, forward.seqlen_q, block_m,
                    columns, of_tile);
  params.k = map_of(forward.k, forward.k_stride, dtype, batch_k, forward.kv_heads, forward.seqlen_k, block_n,
                    columns, of_tile_k);
  params.v = map_of(forward.v, forward.v_stride, dtype, batch_k, forward.kv_heads, forward.seqlen_k, block_n,
                    columns_v, of_tile_v);
  params.dout = map_of(arguments.dout, arguments.dout_stride, dtype, batch_q, forward.heads, forward.seqlen_q,
                       block_m, columns_v, of_tile_v);
  const auto map_of_bias = [&](const void* data, const AttentionArguments::Strides& stride) {
    return TileMap(data, dtype)
        .dimension(arguments.bias_batch, stride[0], 1)
        .dimension(arguments.bias_heads, stride[1], 1)
        .dimension(arguments.bias_q, stride[2], block_m)
        .columns(arguments.bias_k, block_n);
  };
  if (problem.bias_map) params.bias = map_of_bias(forward.bias, forward.bias_stride);
  if (problem.dbias_by_keys) params.dbias = map_of_bias(arguments.dbias, arguments.dbias_stride);
  params.arguments = arguments;
  return params;
}

}  // namespace sprue
