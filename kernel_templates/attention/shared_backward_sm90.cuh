// What a block of attention_backward_sm90 keeps in shared memory, and the barriers through which its warps
// hand it over. Included by the kernel below its constants.
#pragma once

// Named barriers, one for each consumer warpgroup: for its own threads, for its turn, and with the warp that adds to
// dq, which waits for a part of it and says when it has read it. Where warpgroups own columns turns are of both, to use
// P, and gradients of scores; where they own more than 128 a turn is a warpgroup's own. Both add to dq themselves; then
// a warp that keeps their order, in deterministic mode, says when they may, and waits until they have.
constexpr int kGroupBarrier = 1;
constexpr int kTurnBarrier = 3;
constexpr int kSumFullBarrier = 5;
constexpr int kSumEmptyBarrier = 7, kSumTurnBarrier = 7;

struct Shared {
  static constexpr int kQueries = kKeyBytes + kValueBytes, kDouts = kQueries + kStages * kQueryBytes,
                       kGradients = kDouts + kStages * kDoutBytes,
                       kBias = kGradients + (kQueriesByKeys ? 0 : kOwnsColumns ? 4 : 2) * kGradientBytes,
                       kSums = kBias + kBiasPlaces * kBiasBytes,
                       kStats = kSums + (kAddsFromRegisters ? 0 : kConsumers * kSumBytes),
                       kMasks = kStats + kStages * kStatsBytes,
                       kBarriers = kMasks + kConsumers * kMaskBytes;

  unsigned char* memory;  // a multiple of 1024, as the swizzle asks for
  u32 base;

  __device__ __forceinline__ explicit Shared(unsigned char* unaligned)
      : memory(unaligned + (-shared_address(unaligned) & 1023u)), base(shared_address(memory)) {}

  __device__ __forceinline__ u32 keys() const { return base; }
  __device__ __forceinline__ u32 values() const { return base + kKeyBytes; }
  __device__ __forceinline__ u32 queries(int stage) const { return base + kQueries + stage * kQueryBytes; }
  __device__ __forceinline__ u32 douts(int stage) const { return base + kDouts + stage * kDoutBytes; }
  // Of scores: [kBlockN keys, kBlockM queries]; none with kQueriesByKeys.
  __device__ __forceinline__ u32 gradients(int buffer) const {
    return base + kGradients + buffer * kGradientBytes;
  }
  // As these, P; only where warpgroups own columns.
  __device__ __forceinline__ u32 probabilities(int buffer) const { return gradients(2 + buffer); }
  // Of a step, and with kDbias then gradients of scores: [kBlockM queries, kBlockN keys]; only with kBiasTiles.
  __device__ __forceinline__ u32 bias(int step) const { return base + kBias + step % kBiasPlaces * kBiasBytes; }
  // A warpgroup's part of what is added to dq, as its threads hold it.
  __device__ __forceinline__ u32 sums(int warpgroup) const { return base + kSums + warpgroup * kSumBytes; }
  __device__ __forceinline__ RowStats* stats(int stage) const {
    return reinterpret_cast<RowStats*>(memory + kStats + stage * kStatsBytes);
  }
  // A warpgroup's of dropout; only with kDropMasks.
  __device__ __forceinline__ u32 mask(int warpgroup) const { return base + kMasks + warpgroup * kMaskBytes; }

  // Full: all of it has been written. Empty: both warpgroups are done with it.
  __device__ __forceinline__ u32 keys_full() const { return barrier(0); }
  __device__ __forceinline__ u32 query_full(int stage) const { return barrier(1 + stage); }
  __device__ __forceinline__ u32 query_empty(int stage) const { return barrier(1 + kStages + stage); }
  __device__ __forceinline__ u32 dout_full(int stage) const { return barrier(1 + 2 * kStages + stage); }
  __device__ __forceinline__ u32 dout_empty(int stage) const { return barrier(1 + 3 * kStages + stage); }
  __device__ __forceinline__ u32 gradient_full(int buffer) const { return barrier(1 + 4 * kStages + buffer); }
  __device__ __forceinline__ u32 gradient_empty(int buffer) const {
    return barrier(3 + 4 * kStages + buffer);
  }

  __device__ __forceinline__ void init_barriers() const {
    init_barrier(keys_full(), 1);
    for (int i = 0; i < kStages; ++i) {
      init_barrier(query_full(i), kBiasTiles ? 3 : 2);  // the copy, the statistics of its rows, the bias
      init_barrier(query_empty(i), kConsumers);
      init_barrier(dout_full(i), 1);
      init_barrier(dout_empty(i), kConsumers);
    }
    for (int i = 0; i < 2; ++i) {
      init_barrier(gradient_full(i), kOwnsColumns ? 4 : 4 * kConsumers);  // each warp that computes them
      init_barrier(gradient_empty(i), kConsumers);
    }
    fence_barrier_init();
  }

 private:
  __device__ __forceinline__ u32 barrier(int index) const { return base + kBarriers + 8 * index; }
};
