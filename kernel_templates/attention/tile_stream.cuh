// Tiles of keys and values that arrive while the ones before are multiplied, and how the warps of a block tell each
// other what has arrived and what they no longer need. Included by attention_portable after tiles.cuh.
#pragma once

// x, which stays in a register: the compiler cannot compute it again where it is used. By all lanes of a warp.
__device__ __forceinline__ u32 in_register(u32 x) {
  return __shfl_sync(0xffffffffu, x, threadIdx.x % 32);
}
__device__ __forceinline__ i64 in_register(i64 x) {
  return static_cast<i64>(in_register(static_cast<u32>(x >> 32))) << 32 | in_register(static_cast<u32>(x));
}

// Copies whole tiles of strided rows, each below the one before, in passes that lie between other work: a thread
// keeps the address of its next row. By all threads; asynchronous.
template <int kRows, int kColumns, int kPitch>
struct TileStream {
  using Shape = CopyShape<kRows, kColumns>;
  static constexpr int kPasses = Shape::kRowPasses;
  static constexpr bool kFits = kAlignment == 16 && kRows % Shape::kRowThreads == 0;

  const scalar* next;
  i64 step;
  u32 dst;  // of the lowest pass in stage 0

  // `rows` are those of the last tile, `stage_0` is where stage 0 lies.
  __device__ __forceinline__ TileStream(u32 stage_0, StridedRows rows) {
    if constexpr (!(kStages == 2 && kFits)) return;
    const int row = threadIdx.x / Shape::kColumnThreads, column = threadIdx.x % Shape::kColumnThreads;
    step = in_register(Shape::kRowThreads * rows.stride);
    next = rows.row + row * rows.stride - step + column * Shape::kVec;
    dst = in_register(stage_0 + 2 * (row * kPitch + column * Shape::kVec));
  }
  // Pass `pass` of the next tile, whose stage lies `offset` behind stage 0; nothing is copied unless `wanted`.
  __device__ __forceinline__ void copy(int pass, u32 offset, bool wanted) {
    const int column = threadIdx.x % Shape::kColumnThreads;
#pragma unroll
    for (int j = 0; j < Shape::kColumnPasses; ++j) {
      const int c = j * Shape::kColumnThreads;
      const bool inside = Shape::kVecsPerRow % Shape::kColumnThreads == 0 || column + c < Shape::kVecsPerRow;
      copy_async_if(dst + offset + 2 * ((kPasses - 1 - pass) * Shape::kRowThreads * kPitch + c * Shape::kVec),
                    next + c * Shape::kVec, wanted && inside);
    }
    next -= step;
    asm volatile("" : "+l"(next));  // or every pass computes its address from the first one's
  }
  // Before the passes of a tile are repeated.
  __device__ __forceinline__ void back() {
    next += kPasses * step;
  }
};
using KeyStream = TileStream<kBlockN, kHeadDim, kPitchK>;
using ValueStream = TileStream<kBlockN, kBlockV, kPitchV>;

constexpr bool kStreams = kStages == 2 && !kPaged && !kProbabilities && KeyStream::kFits && ValueStream::kFits;
// Where a block has a multiprocessor to itself, no other block works while it waits at a barrier: its warps may then
// be most of a tile apart.
constexpr bool kSplitsBarrier = kStreams && kBlocksPerSm == 1;

// The copies of the next tile, between the kDimSteps steps of this one's products of queries and keys.
struct NextTile {
  KeyStream keys;
  ValueStream values;

  // Four groups of passes, which cost less than single ones; where barriers are split the others get time to read.
  static constexpr int kFirstStep = kSplitsBarrier ? kDimSteps / 4 : 0;
  static constexpr int kGroups = kDimSteps < 4 ? kDimSteps : 4;

  // What comes behind step `step`, to stage `stage`.
  __device__ __forceinline__ void copy(int step, int stage, bool wanted) {
    constexpr int kPasses = KeyStream::kPasses + ValueStream::kPasses;
#pragma unroll
    for (int i = 0; i < kPasses; ++i) {
      if (kFirstStep + i * kGroups / kPasses * (kDimSteps - kFirstStep) / kGroups != step) continue;
      if (i < KeyStream::kPasses) {
        keys.copy(i, stage * kTileBytesK, wanted);
      } else {
        values.copy(i - KeyStream::kPasses, stage * kTileBytesV, wanted);
      }
    }
  }
  __device__ __forceinline__ void back() {
    keys.back();
    values.back();
  }
};

// Between the warps of a block, for tiles 0, 1, ... in the order in which they are multiplied. By all threads.
class TileBarriers {
 public:
  __device__ __forceinline__ TileBarriers() {
    if constexpr (kSplitsBarrier) {
      __shared__ u64 barriers[4];
      copied_ = shared_address(barriers);
      if (threadIdx.x < 2) {
        init_copy_barrier(copied_ + 8 * threadIdx.x, kThreads);
        init_read_barrier(copied_ + 16 + 8 * threadIdx.x, kWarps);
      }
      __syncthreads();
    }
  }
  // This thread has issued its copies of a tile.
  __device__ __forceinline__ void copies_issued(int tile) {
    if constexpr (kSplitsBarrier) {
      arrive_copied(copied_ + 8 * (tile & 1));
    } else {
      commit_copies();
    }
  }
  // Waits for all copies of a tile.
  __device__ __forceinline__ void wait_for_copies(int tile) {
    if constexpr (kSplitsBarrier) {
      wait_copied(copied_ + 8 * (tile & 1), tile >> 1 & 1);
    } else {
      wait_copies<0>();
      __syncthreads();
    }
  }
  // This warp has read a tile.
  __device__ __forceinline__ void reads_done(int tile) {
    if constexpr (kSplitsBarrier) {
      __syncwarp();
      if (threadIdx.x % 32 == 0) arrive_read(copied_ + 16 + 8 * (tile & 1));
    }
  }
  // Waits until a tile may be copied over the one before the last.
  __device__ __forceinline__ void wait_for_reads(int tile) {
    if constexpr (kSplitsBarrier) wait_copied(copied_ + 16 + 8 * (tile & 1), (tile >> 1 & 1) ^ 1);
  }

 private:
  u32 copied_;  // of even and odd tiles; behind them those of reads
};
