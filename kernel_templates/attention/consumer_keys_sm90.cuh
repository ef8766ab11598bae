// A consumer warpgroup of attention_backward_sm90 that owns 64 of 128 keys: P and gradients of scores stay in
// its registers on their way to dv and dk. Included by the kernel.
#pragma once

// A warpgroup's part of dq, for the warp that adds it.
__device__ __forceinline__ void store_sums(u32 sums, const float (&dq)[kQueryColumns / 2]) {
  const u32 first = sums + threadIdx.x % 128 * 16;
#pragma unroll
  for (int j = 0; j < kQueryColumns / 8; ++j)
    store_shared(first + j * 2048, float4{dq[4 * j], dq[4 * j + 1], dq[4 * j + 2], dq[4 * j + 3]});
}

// dk and dv of one warpgroup's 64 keys, and its part of dq.
__device__ __forceinline__ void consume(const Params& params, const Shared& shared, const KeyPlace& place,
                                        Steps steps, int warpgroup) {
  const BackwardArguments& args = params.args;
  const Arguments& forward = args.forward;
  const Sequence& sequence = place.sequence;
  const bool elected = threadIdx.x % 128 == 0, warp_elected = threadIdx.x % 32 == 0;
  const int warp_row = warpgroup * 64 + static_cast<int>(threadIdx.x % 128 / 32 * 16);
  const auto take_turn = [&] { named_sync(kTurnBarrier + warpgroup, 256); };
  const auto give_turn = [&] { named_arrive(kTurnBarrier + 1 - warpgroup, 256); };

  // Its queries are every column of a tile, or one half of the queries is its own.
  const auto multiply_step_of = [&](float(&dq)[kQueryColumns / 2], int step) {
    const u32 gradients =
        kQueriesByKeys ? shared.bias(step)
                       : shared.gradients(step % 2) + (kBlockM == 64 ? 0 : warpgroup * kBlockN * kSwizzleS);
    const u32 keys = shared.keys() + (kBlockM == 64 ? warpgroup * kBlockN * kQueryColumns * 2 : 0);
    multiply_gradients(dq, gradients, keys);
  };
  const auto hand_over = [&](const float(&dq)[kQueryColumns / 2], bool first) {
    if (!first) named_sync(kSumEmptyBarrier + warpgroup, 160);
    store_sums(shared.sums(warpgroup), dq);
    named_arrive(kSumFullBarrier + warpgroup, 160);
  };
  // The whole warpgroup has read the mask before when its turn begins.
  const auto draw = [&](const Steps& next) {
    if constexpr (kDropMasks) {
      draw_mask(shared.mask(warpgroup), forward, place.batch, next.head(), next.query(), place.key + warpgroup * 64);
      named_sync(kGroupBarrier + warpgroup, 128);
    }
  };

  float dk[kColumns / 2] = {}, dv[kColumnsV / 2] = {};
  if (!steps.done()) {
    wait(shared.keys_full(), 0);
    if (kVarlen && place.key + kBlockN > sequence.seqlen_k) {
      clear_rows<kBlockN, kColumns, kSwizzleK>(shared.keys(), sequence.seqlen_k - place.key);
      clear_rows<kBlockN, kColumnsV, kSwizzleV>(shared.values(), sequence.seqlen_k - place.key);
      sync_cleared(warpgroup);
    }
    draw(steps);
    if (warpgroup == 1) give_turn();  // the first turn is warpgroup 0's
    take_turn();
    Ring<kStages> tiles;
    int step = 0;
#pragma unroll 1
    for (; !steps.done(); steps.advance(), ++step) {
      const int buffer = step % 2, before = buffer ^ 1;  // of gradients of scores
      const u32 bias = shared.bias(kQueriesByKeys ? step : tiles.stage);
      const ColumnPlace here{place.batch, steps.head(), steps.query(), place.key + warp_row,
                             bias_column_address(bias, warp_row, 0)};
      const bool whole = all_visible(forward, sequence, here.query, kBlockM, place.key, kBlockN);
      const RowStats* const stats = shared.stats(tiles.stage);
      float p[kScores], ds[kScores];
      u32 packed_p[kScores / 2], packed_ds[kScores / 2], factors[kScores / 2];

      wait(shared.query_full(tiles.stage), tiles.parity);
      if (kVarlen && here.query + kBlockM > sequence.seqlen_q) {
        clear_rows<kBlockM, kColumns, kSwizzleQ>(shared.queries(tiles.stage), sequence.seqlen_q - here.query);
        wait(shared.dout_full(tiles.stage), tiles.parity);
        clear_rows<kBlockM, kColumnsV, kSwizzleV>(shared.douts(tiles.stage), sequence.seqlen_q - here.query);
        if constexpr (kBiasTiles)
          clear_rows<kBlockM, kBlockN, kSwizzleS>(bias, sequence.seqlen_q - here.query);
        sync_cleared(warpgroup);
      }
      multiply_rows<kDimSteps, kBlockN, kSwizzleK, kSwizzleQ>(p, shared.keys() + warpgroup * 64 * kSwizzleK,
                                                              shared.queries(tiles.stage));
      wait(shared.dout_full(tiles.stage), tiles.parity);
      multiply_rows<kDimStepsV, kBlockN, kSwizzleV, kSwizzleV>(
          ds, shared.values() + warpgroup * 64 * kSwizzleV, shared.douts(tiles.stage));
      wgmma_wait<1>();
      pin(p);
      give_turn();
      if constexpr (kPacksFactors) {
        packed_probabilities(p, packed_p, factors, forward, sequence, here, stats, whole);
      } else {
        probabilities(p, packed_p, forward, sequence, here, stats, whole);
      }
      const u32 mask = mask_address(shared.mask(warpgroup));
      if constexpr (kDropMasks) drop_pairs(packed_p, mask, warp_row);
      wgmma_wait<0>();
      pin(ds);
      if constexpr (kDropMasks) drop_scores(ds, mask, warp_row);
      if constexpr (kPacksFactors) {
        packed_gradients(packed_ds, ds, factors, forward, stats);
      } else {
        score_gradients(ds, p, forward, stats);
        pack(packed_ds, ds);
      }
      if constexpr (kQueriesByKeys) {
        replace_bias_columns(here.bias, packed_ds);
      } else {
        wait(shared.gradient_empty(buffer), step / 2 % 2 ^ 1);
        store_scores(shared.gradients(buffer), packed_ds, warp_row, 0);
      }
      fence_async_proxy();
      __syncwarp();
      if (warp_elected) arrive(shared.gradient_full(buffer));

      take_turn();
      accumulate<kSwizzleV>(dv, packed_p, shared.douts(tiles.stage));
      // Of the tile before. In the first round of the loop this multiplies what nobody has written; a
      // condition would keep the compiler from having products in flight.
      float dq[kQueryColumns / 2];
      if (step > 0) wait(shared.gradient_full(before), (step - 1) / 2 % 2);
      multiply_step_of(dq, step + kBiasPlaces - 1);
      wgmma_wait<1>();
      pin(dv);
      pin(packed_p);
      if (elected) arrive(shared.dout_empty(tiles.stage));
      accumulate<kSwizzleQ>(dk, packed_ds, shared.queries(tiles.stage));
      if (steps.left() > 1) {
        Steps next = steps;
        next.advance();
        draw(next);
      }
      wgmma_wait<1>();
      pin(dq);
      if (step > 0) {
        if (elected && !kQueriesByKeys) arrive(shared.gradient_empty(before));
        hand_over(dq, step == 1);
      }
      wgmma_wait<0>();
      pin(dk);
      pin(packed_ds);
      if (elected) arrive(shared.query_empty(tiles.stage));
      tiles.advance();
    }
    if (warpgroup == 0) give_turn();  // warpgroup 0 takes none after its last step
    float dq[kQueryColumns / 2];
    wait(shared.gradient_full((step - 1) % 2), (step - 1) / 2 % 2);
    multiply_step_of(dq, step - 1);
    wgmma_wait<0>();
    pin(dq);
    hand_over(dq, step == 1);
  }

  const KeyPlace result = place_of_block(args);  // place, but without registers that are taken until here
  const ResultRows rows(result, warp_row);
  rows.store(args.dk, args.dk_stride, dk, forward.scale, 0, kHeadDim);
  rows.store(args.dv, args.dv_stride, dv, kDropout ? forward.keep_scale : 1.0f, 0, kHeadDimV);
}
