// Which tile of queries a block computes, when there is a block for every tile. Included by an attention kernel
// below its constants and after arguments.cuh.
//
// A head has args.row_blocks blocks for each sequence; with packed queries it has them for all sequences
// together: total_q * kPackedHeads / kBlockM + batch, enough for each to start a tile of its own.
#pragma once

struct Place {
  int batch;                 // negative: nowhere
  int head;                  // the first of kPackedHeads
  int first_row;             // of the sequence's rows: kPackedHeads for each query
  int first_column;          // of v and out
  bool is_first_of_columns;  // of the blocks that share these rows
  Sequence sequence;
};

// The blocks of earlier sequences, with packed queries.
__device__ __forceinline__ int blocks_before(const Arguments& args, int batch) {
  return static_cast<int>(static_cast<i64>(args.cu_seqlens_q[batch]) * kPackedHeads / kBlockM) + batch;
}

// The sequence that such a block belongs to: the last one that starts at or before it. By all lanes of a warp.
__device__ __forceinline__ int sequence_at(const Arguments& args, int row_block) {
  int first = 0, candidates = args.batch;
  while (candidates > 1) {
    const int step = ceil_div(candidates, 32);
    const int offset = static_cast<int>(threadIdx.x % 32) * step;
    const bool at_or_before = offset < candidates && blocks_before(args, first + offset) <= row_block;
    const int skipped = (__popc(__ballot_sync(0xffffffffu, at_or_before)) - 1) * step;
    first += skipped;
    candidates = min(step, candidates - skipped);
  }
  return first;
}

// Blocks of one head are neighbours, so its keys and values stay in L2; causal blocks start with the longest
// rows. Called again where the result is stored: reading the block index anew keeps it out of the registers of
// the main loop. By all lanes of a warp.
__device__ __forceinline__ Place place_of_block(const Arguments& args) {
  int block;
  asm volatile("mov.u32 %0, %%ctaid.x;" : "=r"(block));
  int row_block = block % args.row_blocks, column = block / args.row_blocks;
  const int columns = args.heads / kPackedHeads * kValueParts;

  Place place;
  if (kVarlen && args.cu_seqlens_q != nullptr) {
    place.batch = sequence_at(args, row_block);
    row_block -= blocks_before(args, place.batch);
  } else {
    place.batch = column / columns;
    column %= columns;
  }
  place.sequence = sequence_of(args, place.batch);
  const int row_blocks =
      kVarlen ? ceil_div(place.sequence.seqlen_q * kPackedHeads, kBlockM) : args.row_blocks;
  if (kVarlen && row_block >= row_blocks) place.batch = -1;

  place.head = column / kValueParts * kPackedHeads;
  place.first_row = (kCausal ? row_blocks - 1 - row_block : row_block) * kBlockM;
  place.is_first_of_columns = column % kValueParts == 0;
  place.first_column = place.is_first_of_columns ? 0 : kHeadDimV - kBlockV;
  return place;
}
