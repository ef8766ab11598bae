// Which keys a query sees, and which tiles of keys a block of queries has to visit. Included by an attention
// kernel after arguments.cuh: uses kCausal, kWindow, kChunk and kBlockN.
#pragma once

// Keys [first, end); empty if end <= first.
struct KeyRange {
  int first, end;
};

// Whether all queries of a sequence see the same keys: all of them.
constexpr bool kSeesAll = !kCausal && !kWindow && !kChunk;

// The keys that query i sees. Both bounds grow with i.
__device__ __forceinline__ KeyRange visible_keys(const Arguments& args, const Sequence& sequence, int i) {
  const int position = i + sequence.shift;
  KeyRange keys{0, sequence.seqlen_k};
  if constexpr (kCausal) keys.end = min(keys.end, position + 1);
  if constexpr (kWindow) {
    keys.first = max(keys.first, position - args.window_left);
    keys.end = min(keys.end, position + args.window_right + 1);
  }
  if constexpr (kChunk) {
    const int chunk = (position >= 0 ? position : position - args.chunk + 1) / args.chunk * args.chunk;
    keys.first = max(keys.first, chunk);
    keys.end = min(keys.end, chunk + args.chunk);
  }
  return keys;
}

// The tiles that a block of queries visits, [first, end), and those of them, [whole_first, whole_end), whose
// keys every query of the block sees.
struct TileRange {
  int first, end, whole_first, whole_end;
};

// For queries [query, query + queries) of a sequence, as far as it reaches.
__device__ __forceinline__ TileRange visible_tiles(const Arguments& args, const Sequence& sequence, int query,
                                                   int queries) {
  const KeyRange head = visible_keys(args, sequence, query);
  const KeyRange tail =
      kSeesAll ? head : visible_keys(args, sequence, min(query + queries, sequence.seqlen_q) - 1);
  if (tail.end <= head.first) return {};
  return {head.first / kBlockN, (tail.end + kBlockN - 1) / kBlockN, (tail.first + kBlockN - 1) / kBlockN,
          max(head.end, 0) / kBlockN};
}
