// Which tiles of queries a persistent block computes, and in which order. Included by an attention kernel
// after visibility.cuh: uses Params.
#pragma once

// A tile of queries: kBlockM rows of kPackedHeads heads, from query `query` on; columns of part `part` of
// out.
struct Work {
  int batch;  // negative: there is no more
  int head, query, part;
  TileRange tiles;
  Sequence sequence;

  // What passes through shared memory. Where all sequences are alike theirs need not; but the registers that three
  // warpgroups have suffice only if all of it is known to be the same in every lane.
  static constexpr bool kHasSequence = kVarlen || kConsumers == 3;
  static constexpr int kWords = 4 + 4 + (kHasSequence ? 5 : 0);

  __device__ __forceinline__ static Work none() {
    Work work{};
    work.batch = -1;
    return work;
  }
  // Whether every query of the tile sees every key of tile n.
  __device__ __forceinline__ bool is_whole(int n) const {
    return n < tiles.whole_end && n >= tiles.whole_first;
  }
};
static_assert(sizeof(Work) == 4 * (4 + 4 + 5), "work passes through shared memory word by word");

constexpr int kQueriesPerTile = kBlockM / kPackedHeads;
// Sequences of different lengths are looked up by a whole warp, and so are pages; otherwise one thread does
// it all.
constexpr int kProducerThreads = kVarlen || kPaged ? 32 : 1;

// Tiles of one sequence that share their queries: head blocks times parts of out.
__device__ __forceinline__ int tile_columns(const Arguments& args) {
  return args.heads / kPackedHeads * kValueParts;
}

// Tile `row_block` of one tile column: which is a head block and a part, of one sequence.
__device__ __forceinline__ Work work_at(const Params& params, const Sequence& sequence, int batch, int column,
                                        int row_block) {
  Work work;
  work.batch = batch;
  work.part = column % kValueParts;
  work.head = column / kValueParts * kPackedHeads;
  work.query = row_block * kQueriesPerTile;
  work.sequence = sequence;
  work.tiles = visible_tiles(params.args, sequence, work.query, kQueriesPerTile);
  // Queries that see nothing visit one tile of which they see nothing.
  if (work.tiles.end <= work.tiles.first) work.tiles = {0, 1, 1, 0};
  return work;
}

// Hands out tile numbers. Blocks whose tiles differ in length draw them from a counter, others go round in
// turn. By all producer threads.
class TileNumbers {
 public:
  __device__ __forceinline__ explicit TileNumbers(u32* counter) : counter_(counter), drawn_(blockIdx.x) {}

  // Starts drawing the number that the next call returns.
  __device__ __forceinline__ int next() {
    const int tile = kProducerThreads == 1 ? drawn_ : __shfl_sync(0xffffffffu, drawn_, 0);
    if (counter_ == nullptr) {
      drawn_ = tile + gridDim.x;
    } else if (threadIdx.x == 0) {
      drawn_ = gridDim.x + atomicAdd(counter_, 1u);
    }
    return tile;
  }

  // Every call of next() draws one number, and a block's last call finds no tile: tiles + grid draws in all.
  // Who made the last of them leaves the counter as it was found.
  __device__ __forceinline__ void finish(int tiles) {
    const int grid = gridDim.x;
    if (counter_ != nullptr && threadIdx.x == 0 && drawn_ == tiles + 2 * grid - 1) *counter_ = 0;
  }

 private:
  u32* counter_;
  int drawn_;
};

//% if VARLEN
// Tiles in the order of their sequences; of one sequence, the latest queries of all heads first. By all lanes
// of a warp.
class Schedule {
 public:
  __device__ __forceinline__ explicit Schedule(const Params& params)
      : params_(params), numbers_(params.counter) {
    scan();
  }

  __device__ __forceinline__ Work next() {
    const int tile = numbers_.next();
    while (tile >= before_ + __shfl_sync(0xffffffffu, tiles_, 31)) {
      before_ += __shfl_sync(0xffffffffu, tiles_, 31);
      first_batch_ += 32;
      if (first_batch_ >= params_.args.batch) {
        numbers_.finish(before_);
        return Work::none();
      }
      scan();
    }
    const int owner = __ffs(__ballot_sync(0xffffffffu, tile < before_ + tiles_)) - 1;
    const int start = __shfl_sync(0xffffffffu, tiles_, owner - 1);  // of any lane if the owner is the first
    const int local = tile - before_ - (owner == 0 ? 0 : start);
    const int batch = first_batch_ + owner;
    const Sequence sequence = sequence_of(params_.args, batch);
    const int row_blocks = ceil_div(sequence.seqlen_q, kQueriesPerTile), columns = tile_columns(params_.args);
    return work_at(params_, sequence, batch, local % columns, row_blocks - 1 - local / columns);
  }

 private:
  // tiles_ = how many tiles the sequences from first_batch_ up to and with the lane's have.
  __device__ __forceinline__ void scan() {
    const int lane = threadIdx.x % 32, batch = first_batch_ + lane;
    tiles_ = 0;
    if (batch < params_.args.batch)
      tiles_ =
          ceil_div(sequence_of(params_.args, batch).seqlen_q, kQueriesPerTile) * tile_columns(params_.args);
#pragma unroll
    for (int step = 1; step < 32; step *= 2) {
      const int below = __shfl_up_sync(0xffffffffu, tiles_, step);
      if (lane >= step) tiles_ += below;
    }
  }

  const Params& params_;
  TileNumbers numbers_;
  int first_batch_ = 0;  // of the 32 sequences that are looked at
  int before_ = 0;       // tiles of the sequences before them
  int tiles_;
};
//% else
//% include "attention/sections.cuh"

// All sequences are alike. Tile columns are visited in sections, so that the keys and values of a section
// stay in L2; of a section, the latest queries, which see most keys, come first.
class Schedule {
 public:
  __device__ __forceinline__ explicit Schedule(const Params& params)
      : params_(params), numbers_(params.counter) {}

  __device__ __forceinline__ Work next() {
    const int tile = numbers_.next();
    const int columns_per_batch = tile_columns(params_.args);
    const int columns = params_.args.batch * columns_per_batch;
    if (tile >= columns * params_.args.row_blocks) {
      numbers_.finish(columns * params_.args.row_blocks);
      return Work::none();
    }
    const auto [column, row] = tile_in_sections(tile, params_.args.row_blocks, columns, params_.section,
                                                params_.last_section);
    const int batch = column / columns_per_batch;
    return work_at(params_, sequence_of(params_.args, batch), batch, column % columns_per_batch,
                   params_.args.row_blocks - 1 - row);
  }

 private:
  const Params& params_;
  TileNumbers numbers_;
};
//% end
