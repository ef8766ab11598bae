// Which tile of queries a block computes, when there is a block for every tile. Included by an attention
// kernel below its constants and after arguments.cuh.
//
// A head has args.row_blocks blocks for each sequence; with packed queries it has them for all sequences
// together: total_q * kPackedHeads / kBlockM + batch, enough for each to start a tile of its own.
#pragma once

//% include "attention/packed_blocks.cuh"

struct Place {
  int batch;                 // negative: nowhere
  int head;                  // the first of kPackedHeads
  int first_row;             // of the sequence's rows: kPackedHeads for each query
  int first_column;          // of v and out
  bool is_first_of_columns;  // of the blocks that share these rows
  Sequence sequence;
};

// Blocks of one head are neighbours, so its keys and values stay in L2; causal blocks start with the longest
// rows. Called again where the result is stored: reading the block index anew keeps it out of the registers
// of the main loop. By all lanes of a warp.
__device__ __forceinline__ Place place_of_block(const Arguments& args) {
  int block;
  asm volatile("mov.u32 %0, %%ctaid.x;" : "=r"(block));
  int row_block = block % args.row_blocks, column = block / args.row_blocks;
  const int columns = args.heads / kPackedHeads * kValueParts;

  Place place;
  if (kVarlen && args.cu_seqlens_q != nullptr) {
    place.batch = sequence_at<kBlockM>(args.cu_seqlens_q, args.batch, row_block);
    row_block -= blocks_before<kBlockM>(args.cu_seqlens_q, place.batch);
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
