// Which queries see a block of keys. Included by a kernel of attention's gradients after visibility.cuh.
#pragma once

// Queries [first, end); empty if end <= first.
struct QueryRange {
  int first, end;
};

// The queries of a sequence that see one of the keys [key, key + keys), as far as the sequence reaches.
// Bounds of what a query sees grow with the query, so these are neighbours.
__device__ __forceinline__ QueryRange visible_queries(const Arguments& args, const Sequence& sequence,
                                                      int key, int keys) {
  const int last = min(key + keys, sequence.seqlen_k) - 1;
  if (last < key) return {0, 0};
  i64 first = 0, end = sequence.seqlen_q;
  const auto at_least = [&](i64 position) { first = max(first, position - sequence.shift); };
  const auto at_most = [&](i64 position) { end = min(end, position - sequence.shift + 1); };
  if constexpr (kCausal) at_least(key);
  if constexpr (kWindow) {
    at_least(i64{key} - args.window_right);
    at_most(i64{last} + args.window_left);
  }
  if constexpr (kChunk) {
    at_least(key / args.chunk * args.chunk);
    at_most(last / args.chunk * args.chunk + args.chunk - 1);
  }
  return {static_cast<int>(min(first, i64{sequence.seqlen_q})), static_cast<int>(max(end, i64{0}))};
}

// Whether all queries [query, query + queries) of a sequence see all keys [key, key + keys).
__device__ __forceinline__ bool all_visible(const Arguments& args, const Sequence& sequence, int query,
                                            int queries, int key, int keys) {
  const KeyRange head = visible_keys(args, sequence, query);
  const KeyRange tail =
      kSeesAll ? head : visible_keys(args, sequence, min(query + queries, sequence.seqlen_q) - 1);
  return tail.first <= key && key + keys <= head.end;
}
