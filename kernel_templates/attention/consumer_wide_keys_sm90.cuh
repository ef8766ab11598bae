// A consumer warpgroup of attention_backward_sm90 that owns 64 of 128 keys, of more than 128 columns of k or v. Beside
// dk and dv its registers hold scores or their gradients or its part of dq, one at a time; the gradients of scores
// come to dk from shared memory, as they do to dq. Warpgroups take no turns: each has long times without products,
// which the other fills. Included by the kernel after dq_part_sm90.cuh.
#pragma once

static_assert(!kDropout && !kSoftcap && !kDbias,
              "dropout, softcap and a gradient of the bias take registers that dk and dv do not leave");

// 0, which the compiler cannot know. A barrier whose number it is added to comes after x has been computed, which the
// compiler would else do among the products that follow.
template <int N>
__device__ __forceinline__ u32 zero_of(const u32 (&x)[N]) {
  u32 any = 0;
#pragma unroll
  for (int i = 0; i < N; ++i) any |= x[i];
  return any & (gridDim.z - 1);
}

// dk and dv of one warpgroup's 64 keys, and half of the columns of dq.
__device__ __forceinline__ void consume(const Params& params, const Shared& shared, const KeyPlace& place,
                                        Steps steps, int warpgroup) {
  const BackwardArguments& args = params.args;
  const Arguments& forward = args.forward;
  const Sequence& sequence = place.sequence;
  const bool elected = threadIdx.x % 128 == 0, warp_elected = threadIdx.x % 32 == 0;
  const int warp_row = warpgroup * 64 + static_cast<int>(threadIdx.x % 128 / 32 * 16);

  const auto multiply_buffer = [&](float(&dq)[kQueryColumns / 2], int buffer) {
    multiply_gradients(dq, shared.gradients(buffer), shared.keys() + warpgroup * kBlockN * kQueryColumns * 2);
  };
  // Of the step before `next`.
  const auto add_dq = [&](const float(&dq)[kQueryColumns / 2], const Steps& next) {
    const auto [head, tile] = next.before();
    const i64 index = tile_of_sums(forward, place.batch, head, anew(tile));
    begin_additions(warpgroup);
    add_columns(args.dq_sums + index * (kBlockM * kColumns), dq, warpgroup, 0);
    end_additions(warpgroup);
  };

  float dk[kColumns / 2] = {}, dv[kColumnsV / 2] = {};
  if (!steps.done()) {
    wait(shared.keys_full(), 0);
    if (kVarlen && place.key + kBlockN > sequence.seqlen_k) {
      clear_rows<kBlockN, kColumns, kSwizzleK>(shared.keys(), sequence.seqlen_k - place.key);
      clear_rows<kBlockN, kColumnsV, kSwizzleV>(shared.values(), sequence.seqlen_k - place.key);
      sync_cleared(warpgroup);
    }
    Ring<kStages> tiles;  // and the buffers of gradients of scores
    bool first = true;
#pragma unroll 1
    for (; !steps.done(); steps.advance()) {
      const int before = tiles.stage ^ 1;
      const ColumnPlace here{place.batch, steps.head(), steps.query(), place.key + warp_row,
                             bias_column_address(shared.bias(tiles.stage), warp_row, 0)};
      const bool whole = all_visible(forward, sequence, here.query, kBlockM, place.key, kBlockN);
      const RowStats* const stats = shared.stats(tiles.stage);
      u32 packed_p[kScores / 2];

      wait(shared.query_full(tiles.stage), tiles.parity);
      if (kVarlen && here.query + kBlockM > sequence.seqlen_q) {
        clear_rows<kBlockM, kColumns, kSwizzleQ>(shared.queries(tiles.stage), sequence.seqlen_q - here.query);
        wait(shared.dout_full(tiles.stage), tiles.parity);
        clear_rows<kBlockM, kColumnsV, kSwizzleV>(shared.douts(tiles.stage), sequence.seqlen_q - here.query);
        if constexpr (kBiasTiles)
          clear_rows<kBlockM, kBlockN, kSwizzleS>(shared.bias(tiles.stage), sequence.seqlen_q - here.query);
        sync_cleared(warpgroup);
      }
      {
        float p[kScores];
        multiply_rows<kDimSteps, kBlockN, kSwizzleK, kSwizzleQ>(
            p, shared.keys() + warpgroup * 64 * kSwizzleK, shared.queries(tiles.stage));
        wgmma_wait<1>();  // the product for dk of the step before
        pin(dk);
        if (elected && !first) arrive(shared.query_empty(before));
        wgmma_wait<0>();
        pin(p);
        probabilities(p, packed_p, forward, sequence, here, stats, whole);
      }

      wait(shared.gradient_empty(tiles.stage), tiles.parity ^ 1);
      wait(shared.dout_full(tiles.stage), tiles.parity);
      named_sync(kTurnBarrier + warpgroup + zero_of(packed_p), 128);
      {
        float ds[kScores];
        multiply_rows<kDimStepsV, kBlockN, kSwizzleV, kSwizzleV>(
            ds, shared.values() + warpgroup * 64 * kSwizzleV, shared.douts(tiles.stage));
        accumulate<kSwizzleV>(dv, packed_p, shared.douts(tiles.stage));
        wgmma_wait<1>();
        pin(ds);
#pragma unroll
        for (int i = 0; i < kScores; i += kScoresAtOnce) {
          float p[kScoresAtOnce];
          u32 packed[kScoresAtOnce / 2];
          unpack(p, reinterpret_cast<const u32(&)[kScoresAtOnce / 2]>(packed_p[i / 2]));
          float(&part)[kScoresAtOnce] = reinterpret_cast<float(&)[kScoresAtOnce]>(ds[i]);
          score_gradients(part, p, forward, stats + 2 * i);
          pack(packed, part);
          store_scores(shared.gradients(tiles.stage), packed, warp_row, 2 * i);
        }
      }
      fence_async_proxy();
      __syncwarp();
      if (warp_elected) arrive(shared.gradient_full(tiles.stage));
      named_sync(kGroupBarrier + warpgroup, 128);  // the product for dk reads what the warpgroup itself has written
      wgmma_wait<0>();
      pin(dv);
      pin(packed_p);
      if (elected) arrive(shared.dout_empty(tiles.stage));

      // Of the step before. In the first round of the loop this multiplies what nobody has written; a condition would
      // keep the compiler from having products in flight.
      float dq[kQueryColumns / 2];
      if (!first) wait(shared.gradient_full(before), tiles.parity ^ before);
      multiply_buffer(dq, before);
      accumulate_scores<kSwizzleQ>(dk, shared.gradients(tiles.stage) + warpgroup * 64 * kSwizzleS,
                                   shared.queries(tiles.stage));
      wgmma_wait<1>();
      pin(dq);
      if (!first) {
        if (elected) arrive(shared.gradient_empty(before));
        add_dq(dq, steps);
      }
      first = false;
      tiles.advance();
    }
    float dq[kQueryColumns / 2];
    const int before = tiles.stage ^ 1;
    wait(shared.gradient_full(before), tiles.parity ^ before);
    multiply_buffer(dq, before);
    wgmma_wait<0>();
    pin(dk);
    pin(dq);
    add_dq(dq, steps);
  }

  const KeyPlace result = place_of_block(args);  // place, but without registers that are taken until here
  const ResultRows rows(result, warp_row);
  rows.store(args.dk, args.dk_stride, dk, forward.scale, 0, kHeadDim);
  rows.store(args.dv, args.dv_stride, dv, 1.0f, 0, kHeadDimV);
}
