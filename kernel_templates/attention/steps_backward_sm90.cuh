// Where a block of attention_backward_sm90 is, and the tiles of queries that it visits. Included by the kernel after
// key_place.cuh.
#pragma once

struct TileSpan {
  int first, count;
};

// The tiles of queries that see one of the keys [key, key + kBlockN).
__device__ __forceinline__ TileSpan visiting_tiles(const Arguments& args, const Sequence& sequence, int key) {
  const QueryRange queries = visible_queries(args, sequence, key, kBlockN);
  if (queries.end <= queries.first) return {0, 0};
  const int first = queries.first / kBlockM;
  return {first, ceil_div(queries.end, kBlockM) - first};
}

// One tile of queries of one head after the other, the heads of a group in turn.
class Steps {
 public:
  __device__ __forceinline__ Steps(const TileSpan& tiles, int group, int first_head)
      : tiles_(tiles), left_(tiles.count * group), head_(first_head), tile_(tiles.first) {}

  __device__ __forceinline__ bool done() const { return left_ == 0; }
  __device__ __forceinline__ int left() const { return left_; }
  __device__ __forceinline__ int head() const { return head_; }
  __device__ __forceinline__ int tile() const { return tile_; }
  __device__ __forceinline__ int query() const { return tile_ * kBlockM; }

  // Of the step before this one, which is not the first.
  struct Before {
    int head, tile;
  };
  __device__ __forceinline__ Before before() const {
    if (tile_ == tiles_.first) return {head_ - 1, tiles_.first + tiles_.count - 1};
    return {head_, tile_ - 1};
  }

  __device__ __forceinline__ void advance() {
    --left_;
    if (++tile_ == tiles_.first + tiles_.count) {
      tile_ = tiles_.first;
      ++head_;
    }
  }

 private:
  TileSpan tiles_;
  int left_, head_, tile_;
};

// Whether sequences add to the same gradient of the bias.
__device__ __forceinline__ bool shares_dbias(const BackwardArguments& args) {
  return args.bias_batch < args.forward.batch;
}

// The keys of this block, computed where it is called.
__device__ __forceinline__ KeyPlace place_of_block(const BackwardArguments& args) {
  return place_of_keys(args, kDeterministic, kDbias && shares_dbias(args));
}

// What a block does; without keys it has no steps.
struct Work {
  KeyPlace place;
  Steps steps;
};
__device__ __forceinline__ Work work_of_block(const BackwardArguments& args) {
  const KeyPlace place = place_of_block(args);
  const int group = place.batch < 0 ? 0 : args.forward.heads / args.forward.kv_heads;
  return {place, Steps(visiting_tiles(args.forward, place.sequence, place.key), group, place.kv_head * group)};
}
