// Which keys a block computes the gradients of. Included by a kernel of attention's gradients after
// backward_arguments.cuh and packed_blocks.cuh: uses kBlockN and kParts, the blocks that share keys.
#pragma once

// Which keys a block computes.
struct KeyPlace {
  int batch;  // negative: nowhere
  int kv_head, part, key;
  Sequence sequence;
};

// `block` of a head's args.key_blocks. The first keys of a causal sequence are seen by most queries: their
// blocks should start first.
__device__ __forceinline__ KeyPlace place_of_keys(const BackwardArguments& args, int block) {
  const Arguments& forward = args.forward;
  int column = blockIdx.x / args.key_blocks;
  const int columns = forward.kv_heads * kParts;
  KeyPlace place;
  if (kVarlen && forward.cu_seqlens_k != nullptr) {
    place.batch = sequence_at<kBlockN>(forward.cu_seqlens_k, forward.batch, block);
    block -= blocks_before<kBlockN>(forward.cu_seqlens_k, place.batch);
  } else {
    place.batch = column / columns;
    column %= columns;
  }
  place.sequence = sequence_of(forward, place.batch);
  place.kv_head = column / kParts;
  place.part = column % kParts;
  place.key = block * kBlockN;
  if (place.key >= place.sequence.seqlen_k) place.batch = -1;
  return place;
}
