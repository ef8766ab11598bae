// A consumer warpgroup of attention_backward_sm90 that owns half of the columns of 64 keys. One warpgroup computes P,
// the other the gradients of scores, while both already multiply by P; both take both from shared memory. Included by
// the kernel.
#pragma once

// Whether gradients of scores have other factors than the probabilities that are multiplied: these come in their place.
constexpr bool kStoresFactors = kSoftcap || kDropout;

__device__ __forceinline__ void consume(const Params& params, const Shared& shared, const KeyPlace& place,
                                        Steps steps, int warpgroup) {
  const BackwardArguments& args = params.args;
  const Arguments& forward = args.forward;
  const Sequence& sequence = place.sequence;
  const bool elected = threadIdx.x % 128 == 0;
  const int warp_row = threadIdx.x % 128 / 32 * 16;
  // Where a warpgroup's half of the columns of q and dout starts.
  const u32 columns = warpgroup * (kQueryBytes / 2), columns_v = warpgroup * (kDoutBytes / 2);

  // The second half of a warpgroup's part of dq, of the step before `next`.
  const auto add_rest = [&](const float(&rest)[kQueryColumns / 4], const Steps& next) {
    const auto [head, tile] = next.before();
    const i64 index = tile_of_sums(forward, place.batch, head, tile);
    add_columns(args.dq_sums + index * (kBlockM * kColumns), rest, warpgroup, kQueryColumns / 2);
    end_additions(warpgroup);
  };

  float dk[kColumns / 4] = {}, dv[kColumnsV / 4] = {};
  if (!steps.done()) {
    wait(shared.keys_full(), 0);
    if (kVarlen && place.key + kBlockN > sequence.seqlen_k) {
      clear_rows<kBlockN, kColumns, kSwizzleK>(shared.keys(), sequence.seqlen_k - place.key);
      clear_rows<kBlockN, kColumnsV, kSwizzleV>(shared.values(), sequence.seqlen_k - place.key);
      sync_cleared(warpgroup);
    }
    Ring<kStages> tiles;
    int buffer = 0;
    bool first = true;
    float rest[kQueryColumns / 4];
#pragma unroll 1
    for (; !steps.done(); steps.advance(), buffer ^= 1) {
      const ColumnPlace here{place.batch, steps.head(), steps.query(), place.key + warp_row,
                             bias_column_address(shared.bias(tiles.stage), warp_row, 0)};
      const bool whole = all_visible(forward, sequence, steps.query(), kBlockM, place.key, kBlockN);
      const RowStats* const stats = shared.stats(tiles.stage);
      float x[kScores];  // scores, or dout . v
      u32 packed[kScores / 2];

      if (kVarlen && steps.query() + kBlockM > sequence.seqlen_q) {
        wait(shared.query_full(tiles.stage), tiles.parity);
        wait(shared.dout_full(tiles.stage), tiles.parity);
        clear_rows<kBlockM, kColumns, kSwizzleQ>(shared.queries(tiles.stage),
                                                 sequence.seqlen_q - steps.query());
        clear_rows<kBlockM, kColumnsV, kSwizzleV>(shared.douts(tiles.stage), sequence.seqlen_q - steps.query());
        if constexpr (kBiasTiles)
          clear_rows<kBlockM, kBlockN, kSwizzleS>(shared.bias(tiles.stage), sequence.seqlen_q - steps.query());
        sync_cleared(warpgroup);
      }
      if (warpgroup == 0) {
        wait(shared.query_full(tiles.stage), tiles.parity);
        multiply_rows<kDimSteps, kBlockN, kSwizzleK, kSwizzleQ>(x, shared.keys(), shared.queries(tiles.stage));
      } else {
        wait(shared.dout_full(tiles.stage), tiles.parity);
        multiply_rows<kDimStepsV, kBlockN, kSwizzleV, kSwizzleV>(x, shared.values(), shared.douts(tiles.stage));
      }
      if (!first) add_rest(rest, steps);
      wgmma_wait<1>();  // the product for dk of the step before
      pin(dk);
      if (elected && !first) arrive(shared.query_empty(tiles.stage ^ 1));
      first = false;
      wgmma_wait<0>();
      pin(x);
      if (warpgroup == 0) {
        wait(shared.dout_full(tiles.stage), tiles.parity);
        probabilities(x, packed, forward, sequence, here, stats, whole);
        store_scores(shared.probabilities(buffer), packed, warp_row, 0);
        if constexpr (kStoresFactors) {
          pack(packed, x);
          store_scores(shared.gradients(buffer), packed, warp_row, 0);
        }
        fence_async_proxy();
      } else {
        wait(shared.query_full(tiles.stage), tiles.parity);
      }
      // P is there; and what both warpgroups multiplied a tile ago, in the other buffer, is done with.
      named_sync(kTurnBarrier, 256);
      accumulate_scores<kSwizzleV>(dv, shared.probabilities(buffer), shared.douts(tiles.stage) + columns_v);
      if (warpgroup == 1) {
        float p[kScores];
        load_scores(packed, kStoresFactors ? shared.gradients(buffer) : shared.probabilities(buffer), warp_row, 0);
        unpack(p, packed);
        score_gradients(x, p, forward, stats);
        pack(packed, x);
        store_scores(shared.gradients(buffer), packed, warp_row, 0);
        if constexpr (kDbias) replace_bias_columns(here.bias, packed);
        fence_async_proxy();
        if constexpr (kDbias) {
          __syncwarp();
          if (threadIdx.x % 32 == 0) arrive(shared.gradient_full(buffer));
        }
      }
      named_sync(kTurnBarrier + 1, 256);  // the gradients are there

      float dq[kQueryColumns / 2];
      multiply_gradients(dq, shared.gradients(buffer), shared.keys() + warpgroup * (kKeyBytes / 2));
      accumulate_scores<kSwizzleQ>(dk, shared.gradients(buffer), shared.queries(tiles.stage) + columns);
      wgmma_wait<2>();
      pin(dv);
      if (elected) arrive(shared.dout_empty(tiles.stage));
      wgmma_wait<1>();
      pin(dq);
      const i64 tile = tile_of_sums(forward, place.batch, steps.head(), steps.tile());
      begin_additions(warpgroup);
      add_columns(args.dq_sums + tile * (kBlockM * kColumns),
                  reinterpret_cast<const float(&)[kQueryColumns / 4]>(dq), warpgroup, 0);
      // Other registers, which the compiler lets be read under the next step's product.
#pragma unroll
      for (int i = 0; i < kQueryColumns / 4; ++i)
        asm volatile("add.f32 %0, %1, 0f00000000;" : "=f"(rest[i]) : "f"(dq[kQueryColumns / 4 + i]));
      tiles.advance();
    }
    add_rest(rest, steps);
    wgmma_wait<0>();
    pin(dk);
  }

  const ResultRows rows(place, warp_row);
  rows.store(args.dk, args.dk_stride, dk, forward.scale, warpgroup * kColumns / 2, kHeadDim);
  rows.store(args.dv, args.dv_stride, dv, kDropout ? forward.keep_scale : 1.0f, warpgroup * kColumnsV / 2,
             kHeadDimV);
}
