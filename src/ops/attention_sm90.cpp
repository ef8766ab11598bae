#include "ops/attention_sm90.h"

#include <algorithm>
#include <numeric>

#include "ops/tile_map.h"

namespace sprue {
namespace {

/// Columns of v and out that one tile computes: what the template calls kBlockV.
int block_v(const AttentionProblem& problem) {
  const int parts = (problem.head_dim_v + 255) / 256;
  return (problem.head_dim_v / 8 + parts - 1) / parts * 8;
}

/// q or out: [batch, head blocks, seqlen_q, packed heads, columns], `rows` of a tile at once.
driver::TensorMap map_rows(const void* data, const AttentionArguments::Strides& stride,
                           const AttentionLayout& layout, const AttentionProblem& problem,
                           const AttentionArguments& arguments, int rows, int columns, int of_tile) {
  const int packed = problem.packed_heads, heads_at_once = std::min(packed, rows);
  return TileMap(data, problem.scalar)
      .dimension(layout.packed_q ? 1 : arguments.batch, stride[0], 1)
      .dimension(arguments.heads / packed, packed * stride[2], 1)
      .dimension(arguments.seqlen_q, stride[1], rows / heads_at_once)
      .dimension(packed, stride[2], heads_at_once)
      .columns(columns, of_tile);
}

/// k and v: [batch or pages, kv_heads, positions, columns].
driver::TensorMap map_keys(const ConstTensor& tensor, const AttentionArguments::Strides& stride,
                           const AttentionLayout& layout, const AttentionArguments& arguments, int rows,
                           int columns, int of_tile) {
  const Extents& extents = tensor.extents;
  return map_of(tensor.data, stride, tensor.dtype, layout.packed_k ? 1 : extents.shape[0], arguments.kv_heads,
                extents.shape[extents.rank - 3], rows, columns, of_tile);
}

}  // namespace

bool has_tensor_maps(const AttentionViews& views) {
  return has_tensor_map(views.q) && has_tensor_map(views.k) && has_tensor_map(views.v) &&
         has_tensor_map(views.out);
}

bool pages_fit(const AttentionProblem& problem, int page_size) {
  constexpr int kAlignment = 128;  // bytes; every tile has a multiple of 16 keys, so pages alone can miss it
  const int narrowest = std::min(swizzle_bytes(problem.head_dim), swizzle_bytes(block_v(problem)));
  return page_size % (kAlignment / narrowest) == 0;
}

bool tiles_differ(const AttentionProblem& problem) {
  return problem.causal || problem.chunk || problem.varlen;
}

int heads_per_section(const AttentionProblem& problem, const AttentionArguments& arguments) {
  // Measured on an H100 SXM with 512 to 16384 queries.
  int heads = problem.head_dim_v <= 128 ? 8 : 1;
  if (problem.causal) heads = 20;
  if (problem.window || problem.chunk) heads = 16;
  const int group = arguments.heads / arguments.kv_heads;
  return (heads + group - 1) / group * group;
}

AttentionSm90Params sm90_params(const Attention& args, const AttentionLayout& layout,
                                const AttentionProblem& problem, const AttentionArguments& arguments,
                                const LoadedKernel& kernel, std::uint32_t* counter) {
  AttentionSm90Params params;
  const int tile = kernel.launch.columns_per_tile, columns = problem.head_dim, columns_v = problem.head_dim_v;
  const int of_tile_v = block_v(problem);
  params.box_rows = layout.paged ? std::gcd(arguments.page_size, tile) : tile;
  constexpr int kGroupRows = 64;  // of q, which a warpgroup multiplies
  constexpr int kWarpRows = 16;   // of out, which a warp copies
  params.q =
      map_rows(arguments.q, arguments.q_stride, layout, problem, arguments, kGroupRows, columns, columns);
  params.k = map_keys(args.k, arguments.k_stride, layout, arguments, params.box_rows, columns, columns);
  params.v = map_keys(args.v, arguments.v_stride, layout, arguments, params.box_rows, columns_v, of_tile_v);
  params.out = map_rows(arguments.out, arguments.out_stride, layout, problem, arguments, kWarpRows, columns_v,
                        of_tile_v);
  params.arguments = arguments;
  params.counter = counter;
  params.group = arguments.heads / arguments.kv_heads;
  const auto tile_columns = [&](int heads) {
    return heads / problem.packed_heads * kernel.launch.blocks_per_row;
  };
  params.section = tile_columns(heads_per_section(problem, arguments));
  const std::int64_t all = std::int64_t{arguments.batch} * tile_columns(arguments.heads);
  params.last_section =
      static_cast<int>(std::max<std::int64_t>(all / params.section - 1, 0) * params.section);
  return params;
}

}  // namespace sprue
