// Tiles of the bias on their way into shared memory, and those of its gradient, which take their places there, on their
// way out. Included by attention_backward_sm90 after producer_backward_sm90.cuh.
#pragma once

__device__ __forceinline__ void load_bias(const Params& params, const Shared& shared, const KeyPlace& place,
                                          const Steps& steps, int index, u64 policy) {
  const BackwardArguments& args = params.args;
  const u32 full = shared.query_full(index % kStages);
  arrive_and_expect(full, kBiasBytes);
  load_rows<kBlockM, kBlockN, kSwizzleS>(params.bias, shared.bias(index), full, policy,
                                         steps.query(), args.bias_heads == 1 ? 0 : steps.head(),
                                         args.bias_batch == 1 ? 0 : place.batch, place.key);
}

// By one thread.
__device__ __forceinline__ void copy_bias(const Params& params, const Shared& shared, const KeyPlace& place,
                                          Steps steps) {
  const u64 policy = evict_first_policy();
  Ring<kStages> tiles;
#pragma unroll 1
  for (; !steps.done(); steps.advance()) {
    wait(shared.query_empty(tiles.stage), tiles.parity ^ 1);
    load_bias(params, shared, place, steps, tiles.stage, policy);
    tiles.advance();
  }
}

// Of two sequences that share a bias the first one's tiles are stored and the second one's added, each after its mark.
class DbiasTurns {
 public:
  __device__ __forceinline__ DbiasTurns(const BackwardArguments& args, const KeyPlace& place)
      : mark_(shares_dbias(args) ? args.dbias_marks + place.kv_head * args.key_blocks + place.key / kBlockN : nullptr),
        adds_(mark_ != nullptr && place.batch > 0) {}

  __device__ __forceinline__ bool adds() const { return adds_; }

  // Before a block's step `index`.
  __device__ __forceinline__ void wait_for(int index) {
    if (!adds_) return;
    while (seen_ <= static_cast<u32>(index)) seen_ = read_mark(mark_);
  }
  // Once no more than the last kPending of this thread's groups of copies are unfinished: `count` steps are done.
  template <int kPending>
  __device__ __forceinline__ void leave(int count) const {
    if (mark_ == nullptr || adds_) return;
    wait_bulk<kPending>();
    leave_mark(mark_, static_cast<u32>(count));
  }

 private:
  u32* mark_;
  bool adds_;
  u32 seen_ = 0;
};

// The bias, and with kDbias its gradient. Once all gradients of a step have been written, the step's barriers and what
// steps before it had in shared memory are free. By one thread.
__device__ __forceinline__ void exchange_bias(const Params& params, const Shared& shared, const KeyPlace& place,
                                              Steps steps) {
  const int batch = params.args.bias_batch == 1 ? 0 : place.batch;
  const u64 policy = evict_first_policy();
  DbiasTurns turns(params.args, place);
  Steps next = steps;  // whose bias is to be loaded
  int loaded = 0;
  const auto load_next = [&] {
    if (next.done()) return;
    load_bias(params, shared, place, next, loaded++, policy);
    next.advance();
  };
  for (int stage = 0; stage < kStages; ++stage) load_next();
  int index = 0;
#pragma unroll 1
  for (; !steps.done(); steps.advance(), ++index) {
    wait(shared.gradient_full(index % 2), index / 2 % 2);
    if constexpr (kQueriesByKeys) {
      wait_bulk_read<1>();  // of two steps ago, which has left its place
      load_next();
    }
    turns.wait_for(index);
#pragma unroll
    for (int p = 0; p < kBlockN * 2 / kSwizzleS; ++p) {
      const u32 panel = shared.bias(index) + p * kBlockM * kSwizzleS;
      const int key = place.key + p * kSwizzleS / 2;
      if (turns.adds()) {
        add_box(params.dbias, panel, key, steps.query(), steps.head(), batch);
      } else {
        store_box(params.dbias, panel, key, steps.query(), steps.head(), batch);
      }
    }
    commit_bulk();
    turns.leave<1>(index);
    if constexpr (!kQueriesByKeys) {
      wait_bulk_read<0>();
      load_next();
    }
  }
  wait_bulk<0>();
  turns.leave<0>(index);
}
