// A consumer warpgroup of attention_backward_sm90 that owns half of the columns of 64 keys: it computes P and
// gradients of scores of half of the queries, and takes those of the others from shared memory. Included by
// the kernel.
#pragma once

__device__ __forceinline__ void consume(const Params& params, const Shared& shared, const KeyPlace& place,
                                        Steps steps, int warpgroup) {
  const BackwardArguments& args = params.args;
  const Arguments& forward = args.forward;
  const Sequence& sequence = place.sequence;
  const bool elected = threadIdx.x % 128 == 0;
  const int warp_row = threadIdx.x % 128 / 32 * 16, half = warpgroup * kScoreQueries;
  // Where a warpgroup's half of the columns of q and dout starts.
  const u32 columns = warpgroup * (kQueryBytes / 2), columns_v = warpgroup * (kDoutBytes / 2);

  const u32 bias = bias_column_address(shared.bias(0), warp_row, half);
  float dk[kColumns / 4] = {}, dv[kColumnsV / 4] = {};
  if (!steps.done()) {
    wait(shared.keys_full(), 0);
    if (kVarlen && place.key + kBlockN > sequence.seqlen_k) {
      clear_rows<kBlockN, kColumns, kSwizzleK>(shared.keys(), sequence.seqlen_k - place.key);
      clear_rows<kBlockN, kColumnsV, kSwizzleV>(shared.values(), sequence.seqlen_k - place.key);
      sync_cleared(warpgroup);
    }
  }
  Ring<kStages> tiles;
  int buffer = 0;
#pragma unroll 1
  for (; !steps.done(); steps.advance(), buffer ^= 1) {
    const ColumnPlace here{place.batch, steps.head(), steps.query() + half, place.key + warp_row,
                           bias + tiles.stage * kBiasBytes};
    const bool whole = all_visible(forward, sequence, steps.query(), kBlockM, place.key, kBlockN);
    const RowStats* const stats = shared.stats(tiles.stage) + half;
    float p[kScores], ds[kScores];
    u32 packed[kScores / 2];

    wait(shared.query_full(tiles.stage), tiles.parity);
    wait(shared.dout_full(tiles.stage), tiles.parity);
    if (kVarlen && steps.query() + kBlockM > sequence.seqlen_q) {
      clear_rows<kBlockM, kColumns, kSwizzleQ>(shared.queries(tiles.stage),
                                               sequence.seqlen_q - steps.query());
      clear_rows<kBlockM, kColumnsV, kSwizzleV>(shared.douts(tiles.stage), sequence.seqlen_q - steps.query());
      if constexpr (kBiasTiles)
        clear_rows<kBlockM, kBlockN, kSwizzleS>(shared.bias(tiles.stage), sequence.seqlen_q - steps.query());
      sync_cleared(warpgroup);
    }
    multiply_rows<kDimSteps, kBlockN, kSwizzleK, kSwizzleQ>(p, shared.keys(),
                                                            shared.queries(tiles.stage) + half * kSwizzleQ);
    multiply_rows<kDimStepsV, kBlockN, kSwizzleV, kSwizzleV>(ds, shared.values(),
                                                             shared.douts(tiles.stage) + half * kSwizzleV);
    wgmma_wait<1>();
    pin(p);
    probabilities(p, packed, forward, sequence, here, stats, whole);
    store_scores(shared.probabilities(buffer), packed, warp_row, half);
    wgmma_wait<0>();
    pin(ds);
    score_gradients(ds, p, forward, stats);
    pack(packed, ds);
    store_scores(shared.gradients(buffer), packed, warp_row, half);
    fence_async_proxy();
    // Both halves are there; and what both warpgroups multiplied a tile ago, in the other buffer, is done
    // with.
    named_sync(kTurnBarrier, 256);

    float dq[kQueryColumns / 2];
    multiply_gradients(dq, shared.gradients(buffer), shared.keys() + warpgroup * (kKeyBytes / 2));
    accumulate_scores<kSwizzleV>(dv, shared.probabilities(buffer), shared.douts(tiles.stage) + columns_v);
    accumulate_scores<kSwizzleQ>(dk, shared.gradients(buffer), shared.queries(tiles.stage) + columns);
    wgmma_wait<2>();
    pin(dq);
    const i64 tile = tile_of_sums(forward, place.batch, steps.head(), steps.tile());
    add_part(args.dq_sums + tile * (kBlockM * kColumns), dq, warpgroup);
    wgmma_wait<1>();
    pin(dv);
    if (elected) arrive(shared.dout_empty(tiles.stage));
    wgmma_wait<0>();
    pin(dk);
    if (elected) arrive(shared.query_empty(tiles.stage));
    tiles.advance();
  }

  const ResultRows rows(place, warp_row);
  rows.store(args.dk, args.dk_stride, dk, forward.scale, warpgroup * kColumns / 2, kHeadDim);
  rows.store(args.dv, args.dv_stride, dv, kDropout ? forward.keep_scale : 1.0f, warpgroup * kColumnsV / 2,
             kHeadDimV);
}
