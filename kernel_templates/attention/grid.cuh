// Which tile of queries a block computes, when there is a block for every tile. Included by an attention
// kernel below its constants and after arguments.cuh.
//
// A head has args.row_blocks blocks for each sequence; with packed queries it has them for all sequences
// together: total_q * kPackedHeads / kBlockM + batch, enough for each to start a tile of its own.
#pragma once

//% include "attention/packed_blocks.cuh"
//% include "attention/sections.cuh"

struct Place {
  int batch;                 // negative: nowhere
  int head;                  // the first of kPackedHeads
  int first_row;             // of the sequence's rows: kPackedHeads for each query
  int first_column;          // of v and out
  bool is_first_of_columns;  // of the blocks that share these rows
  Sequence sequence;
};

// A column is a head block and a part of out, of one sequence or of all. Blocks of a column are neighbours, so its keys
// and values stay in L2. Causal blocks start with the longest rows of kSectionColumns columns, so that there are short
// ones left when others end.
__device__ __forceinline__ TilePlace block_at(const Arguments& args, int index, int columns) {
  constexpr int kSectionColumns = 20;  // measured on an H100 SXM
  if (!kCausal || (kVarlen && args.cu_seqlens_q != nullptr))
    return {index / args.row_blocks, index % args.row_blocks};
  return tile_in_sections(index, args.row_blocks, columns, kSectionColumns,
                          max(columns / kSectionColumns - 1, 0) * kSectionColumns);
}

// Called again where the result is stored: reading the block index anew keeps it out of the registers of the main loop.
// By all lanes of a warp.
__device__ __forceinline__ Place place_of_block(const Arguments& args) {
  int index;
  asm volatile("mov.u32 %0, %%ctaid.x;" : "=r"(index));
  const int columns = args.heads / kPackedHeads * kValueParts;
  auto [column, row_block] = block_at(args, index, args.batch * columns);

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
