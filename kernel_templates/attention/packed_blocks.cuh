// Which of the packed sequences a block belongs to. Included by an attention kernel below its constants.
//
// A head has total * kPackedHeads / kRows + batch blocks for all sequences together, enough for each to start a block
// of its own.
#pragma once

// The blocks of earlier sequences, where sequences are packed; a block has kRows rows of one.
template <int kRows>
__device__ __forceinline__ int blocks_before(const int* cu_seqlens, int batch) {
  return static_cast<int>(static_cast<i64>(cu_seqlens[batch]) * kPackedHeads / kRows) + batch;
}

// The sequence that such a block belongs to: the last one that starts at or before it. By all lanes of a
// warp.
template <int kRows>
__device__ __forceinline__ int sequence_at(const int* cu_seqlens, int batches, int row_block) {
  int first = 0, candidates = batches;
  while (candidates > 1) {
    const int step = ceil_div(candidates, 32);
    const int offset = static_cast<int>(threadIdx.x % 32) * step;
    const bool at_or_before =
        offset < candidates && blocks_before<kRows>(cu_seqlens, first + offset) <= row_block;
    const int skipped = (__popc(__ballot_sync(0xffffffffu, at_or_before)) - 1) * step;
    first += skipped;
    candidates = min(step, candidates - skipped);
  }
  return first;
}
