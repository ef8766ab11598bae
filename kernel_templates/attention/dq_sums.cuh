// Where tiles of dq are summed up before they are rounded. Included by attention_backward_sm90 and
// attention_backward_dq after packed_blocks.cuh: uses kBlockM.
//
// A tile of kBlockM queries is written as the warpgroups hold it: one after the other, and of each every 8
// columns those of its 128 threads, four f32 each.
#pragma once

// The number of a tile of a sequence. A head has args.row_blocks of them.
__device__ __forceinline__ i64 tile_of_sums(const Arguments& args, int batch, int head, int tile) {
  const bool packed = kVarlen && args.cu_seqlens_q != nullptr;
  const i64 column = packed ? head : static_cast<i64>(batch) * args.heads + head;
  return column * args.row_blocks + tile + (packed ? blocks_before<kBlockM>(args.cu_seqlens_q, batch) : 0);
}
