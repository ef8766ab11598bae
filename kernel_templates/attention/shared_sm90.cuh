// What a block of attention_sm90 keeps in shared memory, and the barriers through which the producer and the
// consumers hand it over. Included by the kernel below its constants.
#pragma once

// Named barriers: one per consumer warpgroup for its own threads, and one for its turn.
constexpr int kGroupBarrier = 1;
constexpr int kTurnBarrier = 4;

struct Shared {
  static constexpr int kTileBytes =
      kQueryStages * kConsumers * kQueryBytes + kStages * (kKeyBytes + kValueBytes) +
      kConsumers * 4 * kStagedBytes + kPlaceBytes;

  u32 base;  // of the tiles; a multiple of 1024, as the swizzle asks for

  __device__ __forceinline__ explicit Shared(const void* memory)
      : base((shared_address(memory) + 1023) & ~1023u) {}

  // Of one warpgroup.
  __device__ __forceinline__ u32 queries(int stage, int warpgroup) const {
    return base + (stage * kConsumers + warpgroup) * kQueryBytes;
  }
  __device__ __forceinline__ u32 keys(int stage) const {
    return base + kQueryStages * kConsumers * kQueryBytes + stage * kKeyBytes;
  }
  __device__ __forceinline__ u32 values(int stage) const {
    return base + kQueryStages * kConsumers * kQueryBytes + kStages * kKeyBytes + stage * kValueBytes;
  }

  // Where this warp's rows of out wait to be copied. By consumers.
  __device__ __forceinline__ u32 staged() const {
    return values(kStages) + static_cast<int>(threadIdx.x / 32 - 4) * kStagedBytes;
  }

  // ALiBi's right operands.
  __device__ __forceinline__ u32 places() const { return values(kStages) + kConsumers * 4 * kStagedBytes; }

  // Full: the copy has landed. Empty: every consumer warpgroup is done with it.
  __device__ __forceinline__ u32 query_full(int stage) const { return barrier(stage); }
  __device__ __forceinline__ u32 query_empty(int stage) const { return barrier(kQueryStages + stage); }
  __device__ __forceinline__ u32 key_full(int stage) const { return barrier(2 * kQueryStages + stage); }
  __device__ __forceinline__ u32 key_empty(int stage) const {
    return barrier(2 * kQueryStages + kStages + stage);
  }
  __device__ __forceinline__ u32 value_full(int stage) const {
    return barrier(2 * kQueryStages + 2 * kStages + stage);
  }
  __device__ __forceinline__ u32 value_empty(int stage) const {
    return barrier(2 * kQueryStages + 3 * kStages + stage);
  }

  __device__ __forceinline__ void init_barriers() const {
    for (int i = 0; i < kQueryStages; ++i) {
      init_barrier(query_full(i), 1);
      init_barrier(query_empty(i), kConsumers);
    }
    for (int i = 0; i < kStages; ++i) {
      init_barrier(key_full(i), 1);
      init_barrier(key_empty(i), kConsumers);
      init_barrier(value_full(i), 1);
      init_barrier(value_empty(i), kConsumers);
    }
    fence_barrier_init();
  }

  // The work that belongs to a tile of queries; complete when query_full is.
  __device__ __forceinline__ void write_work(int stage, const Work& work) const {
    const int* words = reinterpret_cast<const int*>(&work);
#pragma unroll
    for (int i = 0; i < Work::kWords; ++i) store_shared(this->work(stage) + 4 * i, words[i]);
  }
  // The same in every lane, and what loops and branches depend on is known to be.
  __device__ __forceinline__ Work read_work(const Arguments& args, int stage) const {
    Work work;
    int* const words = reinterpret_cast<int*>(&work);
    const auto known = [](int word) { return __shfl_sync(0xffffffffu, word, 0); };
    if constexpr (Work::kHasSequence) {
#pragma unroll
      for (int i = 0; i < Work::kWords; ++i) words[i] = known(load_shared(this->work(stage) + 4 * i));
    } else {
#pragma unroll
      for (int i = 0; i < Work::kWords; i += 4) load_shared(&words[i], this->work(stage) + 4 * i);
      work.sequence = sequence_of(args, 0);
      work.batch = known(work.batch);
      work.tiles.first = known(work.tiles.first);
      work.tiles.end = known(work.tiles.end);
    }
    return work;
  }

 private:
  __device__ __forceinline__ u32 barrier(int index) const {
    return base + kTileBytes + 8 * index;
  }
  __device__ __forceinline__ u32 work(int stage) const {
    return barrier(2 * kQueryStages + 4 * kStages) + stage * 4 * Work::kWords;
  }
};
