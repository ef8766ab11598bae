// P between two warps that share their rows: each has it of its own part of a tile's keys, and multiplies all of it
// with its own part of the output's columns. Included by attention_portable after online_softmax.cuh. By all lanes of
// a warp.
#pragma once

// Through shared memory, in the layout of fragments: a lane reads what the same lane of the other warp has written.
class ProbabilityExchange {
 public:
  // `buffer` has a slot for every warp.
  __device__ __forceinline__ ProbabilityExchange(u32 buffer, int warp) {
    if constexpr (kKeyParts > 1) {
      __shared__ u64 barriers[2 * kWarps];
      if (threadIdx.x < 2 * kWarps) init_read_barrier(shared_address(barriers + threadIdx.x), 1);
      __syncthreads();
      given_ = shared_address(barriers + warp);
      slot_ = buffer + warp * kSlotBytes + threadIdx.x % 32 * 16;
      // From this warp's to the other's.
      to_barrier_ = (warp ^ 1) * 8 - warp * 8;
      to_slot_ = to_barrier_ / 8 * kSlotBytes;
    }
  }
  // Gives this warp's; waits until the other warp has taken the ones before.
  __device__ __forceinline__ void give(const Probabilities& p, const float (&row_max)[kRowTiles][2]) {
    wait_copied(given_ + 8 * kWarps, parity_ ^ 1);
    const u32* const words = p.at[0];
#pragma unroll
    for (int i = 0; i < kVectors; ++i) {
      const float* const x = reinterpret_cast<const float*>(words + 4 * i);
      store_shared(slot_ + 512 * i, float4{x[0], x[1], x[2], x[3]});
    }
    give(row_max);
  }
  // Takes the other warp's.
  __device__ __forceinline__ void take(Probabilities& p, float (&row_max)[kRowTiles][2]) {
    wait_copied(given_ + to_barrier_, parity_);
    u32* const words = p.at[0];
#pragma unroll
    for (int i = 0; i < kVectors; ++i) {
      const float4 x = load_shared_vector(slot_ + to_slot_ + 512 * i);
      words[4 * i] = __float_as_uint(x.x);
      words[4 * i + 1] = __float_as_uint(x.y);
      words[4 * i + 2] = __float_as_uint(x.z);
      words[4 * i + 3] = __float_as_uint(x.w);
    }
    take(row_max);
  }
  // A number for each row.
  __device__ __forceinline__ void exchange(float (&x)[kRowTiles][2]) {
    wait_copied(given_ + 8 * kWarps, parity_ ^ 1);
    give(x);
    wait_copied(given_ + to_barrier_, parity_);
    take(x);
  }

 private:
  static constexpr int kVectors = kRowTiles * kKeyTiles / 2;
  static constexpr int kSlotBytes = 512 * (kVectors + 1);
  static_assert(kKeyParts == 1 || kRowTiles == 2, "the numbers of a lane's rows are a vector");

  __device__ __forceinline__ void give(const float (&x)[kRowTiles][2]) {
    const float* const rows = x[0];
    store_shared(slot_ + 512 * kVectors, float4{rows[0], rows[1], rows[2], rows[3]});
    __syncwarp();
    if (threadIdx.x % 32 == 0) arrive_read(given_);
  }
  __device__ __forceinline__ void take(float (&x)[kRowTiles][2]) {
    const float4 rows = load_shared_vector(slot_ + to_slot_ + 512 * kVectors);
    x[0][0] = rows.x;
    x[0][1] = rows.y;
    x[kRowTiles - 1][0] = rows.z;
    x[kRowTiles - 1][1] = rows.w;
    __syncwarp();
    if (threadIdx.x % 32 == 0) arrive_read(given_ + to_barrier_ + 8 * kWarps);
    parity_ ^= 1;
  }

  u32 given_, slot_;  // barriers of what warps have given, and behind them of what the others have taken
  int to_barrier_, to_slot_;
  u32 parity_ = 0;
};

__device__ __forceinline__ bool differ(const float (&x)[kRowTiles][2], const float (&y)[kRowTiles][2]) {
  bool differs = false;
#pragma unroll
  for (int t = 0; t < kRowTiles; ++t) differs |= x[t][0] != y[t][0] || x[t][1] != y[t][1];
  return differs;
}

// Brings both warps' maxima, and what was computed relative to them, to the larger ones. Returns the rows without
// one.
__device__ __forceinline__ u32 unite_maxima(Accumulator& acc, Probabilities& others,
                                            const float (&row_max)[kRowTiles][2]) {
  u32 empty = 0;
#pragma unroll
  for (int t = 0; t < kRowTiles; ++t) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const float m = fmaxf(acc.row_max[t][r], row_max[t][r]);
      const float own = acc.row_max[t][r] == m ? 1.0f : exp2_approx(acc.row_max[t][r] - m);
      const float other = row_max[t][r] == m ? 1.0f : exp2_approx(row_max[t][r] - m);
      acc.row_max[t][r] = m;
      acc.row_sum[t][r] *= own;
#pragma unroll
      for (int c = 0; c < kOutTiles; ++c) {
        acc.out[t][c][2 * r] *= own;
        acc.out[t][c][2 * r + 1] *= own;
      }
#pragma unroll
      for (int j = 0; j < kKeyTiles; ++j) {
        u32& p = others.at[t][2 * j + r];
        p = pack<scalar>(to_f32(scalar{static_cast<u16>(p)}) * other,
                         to_f32(scalar{static_cast<u16>(p >> 16)}) * other);
      }
      if (m == negative_infinity()) empty |= 1u << (2 * t + r);
    }
  }
  return empty;
}
