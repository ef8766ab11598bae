// The warps of attention_backward_sm90 that move data: one copies tiles into shared memory, one the statistics of their
// rows, one adds to dq. Included by the kernel after shared_backward_sm90.cuh.
#pragma once

// kColumns columns of a tile of kRows rows, from `column` on.
template <int kRows, int kColumns, int kSwizzle>
__device__ __forceinline__ void load_rows(const TensorMap& map, u32 dst, u32 full, u64 policy, int row,
                                          int head, int batch, int column = 0) {
#pragma unroll
  for (int p = 0; p < kColumns * 2 / kSwizzle; ++p)
    load_box(dst + p * kRows * kSwizzle, map, full, policy, column + p * kSwizzle / 2, row, head, batch);
}

// By one thread.
__device__ __forceinline__ void copy_tiles(const Params& params, const Shared& shared, const KeyPlace& place,
                                           Steps steps) {
  if (steps.done()) return;
  const Arguments& forward = params.args.forward;
  const u64 policy = evict_last_policy();
  const int batch_q = kVarlen && forward.cu_seqlens_q != nullptr ? 0 : place.batch;
  const int batch_k = kVarlen && forward.cu_seqlens_k != nullptr ? 0 : place.batch;
  const int key = place.sequence.first_k + place.key;
  arrive_and_expect(shared.keys_full(), kKeyBytes + kValueBytes);
  load_rows<kBlockN, kColumns, kSwizzleK>(params.k, shared.keys(), shared.keys_full(), policy, key,
                                          place.kv_head, batch_k);
  load_rows<kBlockN, kColumnsV, kSwizzleV>(params.v, shared.values(), shared.keys_full(), policy, key,
                                           place.kv_head, batch_k);
  Ring<kStages> tiles;
#pragma unroll 1
  for (; !steps.done(); steps.advance()) {
    const int query = place.sequence.first_q + steps.query();
    wait(shared.query_empty(tiles.stage), tiles.parity ^ 1);
    arrive_and_expect(shared.query_full(tiles.stage), kQueryBytes);
    load_rows<kBlockM, kColumns, kSwizzleQ>(params.q, shared.queries(tiles.stage),
                                            shared.query_full(tiles.stage), policy, query, steps.head(),
                                            batch_q);
    wait(shared.dout_empty(tiles.stage), tiles.parity ^ 1);
    arrive_and_expect(shared.dout_full(tiles.stage), kDoutBytes);
    load_rows<kBlockM, kColumnsV, kSwizzleV>(params.dout, shared.douts(tiles.stage),
                                             shared.dout_full(tiles.stage), policy, query, steps.head(),
                                             batch_q);
    tiles.advance();
  }
}

// And with kDbias, zeros of the gradient of the bias. By a whole warp.
__device__ __forceinline__ void copy_stats(const Params& params, const Shared& shared, const KeyPlace& place,
                                           Steps steps) {
  const BackwardArguments& args = params.args;
  const int lane = threadIdx.x % 32;
  UnseenTiles unseen(args, place);
  Ring<kStages> tiles;
#pragma unroll 1
  for (; !steps.done(); steps.advance()) {
    const RowStats* const rows = args.stats + place.batch * args.row_stride[0] +
                                 steps.head() * args.row_stride[1] +
                                 (place.sequence.first_q + steps.query()) * args.row_stride[2];
    RowStats stats[kBlockM / 32];
#pragma unroll
    for (int i = 0; i < kBlockM / 32; ++i) {
      const int row = 32 * i + lane;
      stats[i] = {-negative_infinity(), 0.0f};  // a row beyond the sequence has no probabilities
      if (steps.query() + row < place.sequence.seqlen_q) stats[i] = rows[row];
    }
    wait(shared.query_empty(tiles.stage), tiles.parity ^ 1);
#pragma unroll
    for (int i = 0; i < kBlockM / 32; ++i) shared.stats(tiles.stage)[32 * i + lane] = stats[i];
    __syncwarp();
    if (lane == 0) arrive(shared.query_full(tiles.stage));
    if constexpr (kDbias) unseen.write(steps.left());
    tiles.advance();
  }
  if constexpr (kDbias) unseen.write(1);
}

// In deterministic mode blocks add to a tile of dq in the order of their keys, the last ones first, and each
// leaves its mark when it is done. Blocks with later keys start earlier, so that a block waits only for
// blocks that run.
__device__ __forceinline__ u32 mark_of(const KeyPlace& place) {
  return place.key / kBlockN + 1;
}
// The tiles that the block of the next keys adds to as well.
__device__ __forceinline__ TileSpan later_tiles(const Arguments& args, const KeyPlace& place) {
  if (!kDeterministic || place.key + kBlockN >= place.sequence.seqlen_k) return {0, 0};
  return visiting_tiles(args, place.sequence, place.key + kBlockN);
}

// By a whole warp. A tile's mark is left while the next tile's second part is awaited: to wait for the end of a
// tile's reductions at once would take longer than a step.
__device__ __forceinline__ void add_sums(const Params& params, const Shared& shared, const KeyPlace& place,
                                         Steps steps) {
  const BackwardArguments& args = params.args;
  const Arguments& forward = args.forward;
  const bool elected = threadIdx.x % 32 == 0;
  const u32 own_mark = mark_of(place);
  const TileSpan later = later_tiles(forward, place);
  u32* mark_before = nullptr;  // of the tile before this one
#pragma unroll 1
  while (!steps.done()) {
    const i64 tile = tile_of_sums(forward, place.batch, steps.head(), steps.tile());
    float* const dst = args.dq_sums + tile * (kBlockM * kColumns);
    u32* const mark = args.dq_marks + tile;
    const bool is_later = steps.tile() >= later.first && steps.tile() < later.first + later.count;
    steps.advance();
#pragma unroll
    for (int w = 0; w < kConsumers; ++w) {
      named_sync(kSumFullBarrier + w, 160);
      fence_async_proxy();
      if (elected) {
        if (kDeterministic && w == 0 && is_later) wait_for_mark(mark, own_mark + 1);
        reduce_add(dst + w * (kSumBytes / 4), shared.sums(w), kSumBytes);
        commit_bulk();
        if (kDeterministic && w == 0 && mark_before != nullptr) {
          wait_bulk<1>();
          leave_mark(mark_before, own_mark);
        }
      }
    }
    mark_before = mark;
    if (elected) wait_bulk_read<1>();
    __syncwarp();
    if (!steps.done()) named_arrive(kSumEmptyBarrier, 160);
    if (elected) wait_bulk_read<0>();
    __syncwarp();
    if (!steps.done()) named_arrive(kSumEmptyBarrier + 1, 160);
  }
  if (elected) {
    wait_bulk<0>();
    if (kDeterministic && mark_before != nullptr) leave_mark(mark_before, own_mark);
  }
}

// Gives warpgroups that add to dq from registers their turns and leaves marks for them, so that they need not wait for
// the end of what they add. By a whole warp, in deterministic mode.
__device__ __forceinline__ void keep_order(const Params& params, const KeyPlace& place, Steps steps) {
  const BackwardArguments& args = params.args;
  const bool elected = threadIdx.x % 32 == 0;
  const u32 own_mark = mark_of(place);
  const TileSpan later = later_tiles(args.forward, place);
  u32* mark_before = nullptr;  // of the tile before this one
#pragma unroll 1
  for (; !steps.done(); steps.advance()) {
    u32* const mark = args.dq_marks + tile_of_sums(args.forward, place.batch, steps.head(), steps.tile());
    const bool is_later = steps.tile() >= later.first && steps.tile() < later.first + later.count;
    if (elected && is_later) wait_for_mark(mark, own_mark + 1);
    __syncwarp();
    for (int w = 0; w < kConsumers; ++w) named_arrive(kSumTurnBarrier + w, 160);
    if (elected && mark_before != nullptr) leave_mark(mark_before, own_mark);
    __syncwarp();
    for (int w = 0; w < kConsumers; ++w) named_sync(kSumFullBarrier + w, 160);
    mark_before = mark;
  }
  if (elected && mark_before != nullptr) leave_mark(mark_before, own_mark);
}
