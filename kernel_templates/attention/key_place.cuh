// Which keys a block computes the gradients of. Included by a kernel of attention's gradients after
// backward_arguments.cuh and packed_blocks.cuh: uses kBlockN, kParts, the blocks that share keys, and kSection.
#pragma once

// Which keys a block computes.
struct KeyPlace {
  int batch;  // negative: nowhere
  int kv_head, part, key;
  Sequence sequence;
};

// This block's index. Read anew, it takes no register in between.
__device__ __forceinline__ int block_index() {
  int block;
  asm volatile("mov.u32 %0, %%ctaid.x;" : "=r"(block));
  return block;
}

// The block of a head's args.key_blocks that this is, and the column that it is in: a head and a part, of all
// sequences or of one. The first keys of a causal sequence are seen by most queries, so their blocks start first;
// columns are visited in sections of kSection, of which all first blocks come before all second ones: else the last
// columns' long blocks would start when others have nothing left to do. Sequences of their own lengths differ anyway,
// and chunks are short.
struct KeyColumn {
  int column, block;
};
__device__ __forceinline__ KeyColumn key_column(const BackwardArguments& args) {
  const Arguments& forward = args.forward;
  if (!(kCausal || kDeterministic) || kVarlen || kChunk)
    return {block_index() / args.key_blocks, block_index() % args.key_blocks};
  const int index = block_index(), first = index / (kSection * args.key_blocks) * kSection;
  const int width = min(kSection, forward.batch * forward.kv_heads * kParts - first);
  const int local = index - first * args.key_blocks;
  return {first + local % width, local / width};
}

// `later_first`: the last keys start first. `sequences_first`: columns are those of one head in all sequences, then
// those of the next one.
__device__ __forceinline__ KeyPlace place_of_keys(const BackwardArguments& args, bool later_first = false,
                                                  bool sequences_first = false) {
  const Arguments& forward = args.forward;
  auto [column, block] = key_column(args);
  if (later_first) block = args.key_blocks - 1 - block;
  const int columns = forward.kv_heads * kParts;
  KeyPlace place;
  if (kVarlen && forward.cu_seqlens_k != nullptr) {
    place.batch = sequence_at<kBlockN>(forward.cu_seqlens_k, forward.batch, block);
    block -= blocks_before<kBlockN>(forward.cu_seqlens_k, place.batch);
  } else {
    const int width = sequences_first ? forward.batch : columns, outer = column / width, inner = column % width;
    place.batch = sequences_first ? inner : outer;
    column = sequences_first ? outer : inner;
  }
  place.sequence = sequence_of(forward, place.batch);
  place.kv_head = column / kParts;
  place.part = column % kParts;
  place.key = block * kBlockN;
  if (place.key >= place.sequence.seqlen_k) place.batch = -1;
  return place;
}
