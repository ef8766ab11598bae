// ALiBi by the tensor cores: q k^T is added to a product that gives key j of a tile slope * j. What scores then lack,
// slope * (the tile's first key - the query's position), is the same for a row's whole tile and left to the softmax.
// They are rounded as f32 of the size of slope * kBlockN. Included by attention_sm90 after scores.cuh.
#pragma once

constexpr bool kAlibiProduct = true;
// Keys before a query need slope * j; those behind it, which a causal mask hides, -slope * j.
constexpr int kPlaceRows = kCausal ? kBlockN : 2 * kBlockN;
constexpr int kPlaceBytes = 32 * kPlaceRows;
static_assert(kBlockN <= 256, "bf16 holds the places of keys exactly");

// The right operands, of 16 columns: row j of the first is [j, j, j, 0, ...], that of the second [-j, -j, -j, 0, ...].
// By all threads.
__device__ __forceinline__ void write_places(u32 places) {
  for (int row = threadIdx.x; row < kPlaceRows; row += kThreads) {
    const float place = row < kBlockN ? row : kBlockN - row;
    const u32 address = places + 32 * row, permuted = row / 4 % 2 * 16;
    store_shared(address + permuted, float4{__uint_as_float(device::pack<bf16>(place, place)),
                                            __uint_as_float(device::pack<bf16>(place, 0.0f)), 0.0f, 0.0f});
    clear_shared(address + (permuted ^ 16));
  }
  fence_async_proxy();
}

// d = a b; a [64, 16] in registers, b [kBlockN, 16] in shared memory. They are bf16 for either scalar: f16 lacks the
// range of slopes.
__device__ __forceinline__ void multiply_places(float (&d)[kBlockN / 2], const u32 (&a)[4], u32 b) {
//% for n in BLOCK_N / 2..BLOCK_N / 2 + 1
  asm volatile(
      "{\n"
      "  .reg .b64 b;\n"
      "  mov.b64 b, {%${n + 4}, %${n + 5}};\n"
      "  wgmma.mma_async.sync.aligned.m64n${2 * n}k16.f32.bf16.bf16 {"
//% for i in 0..BLOCK_N / 8 - 1
      "%${4 * i}, %${4 * i + 1}, %${4 * i + 2}, %${4 * i + 3}, "
//% end
      "%${n - 4}, %${n - 3}, %${n - 2}, %${n - 1}}, {%${n}, %${n + 1}, %${n + 2}, %${n + 3}}, b, 0, 1, 1, 0;\n"
      "}"
      :
//% for i in 0..BLOCK_N / 8 - 1
      "+f"(d[${4 * i}]), "+f"(d[${4 * i + 1}]), "+f"(d[${4 * i + 2}]), "+f"(d[${4 * i + 3}]),
//% end
      "+f"(d[${n - 4}]), "+f"(d[${n - 3}]), "+f"(d[${n - 2}]), "+f"(d[${n - 1}])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b), "n"(descriptor_high(32)));
//% end
}

// What the scores of the two rows that a thread holds of its warp's sixteen lack.
struct Shift {
  float of_row[2];
};

// ALiBi of a warpgroup's 64 rows.
class Alibi {
 public:
  // `query` is the warpgroup's first.
  __device__ __forceinline__ Alibi(const RowScores& rows, int query, int shift)
      : first_(query + shift), last_(query + 63 / kPackedHeads + shift) {
    const auto rounded = [](float x) { return to_f32(from_f32<bf16>(x)); };
    const int lane = threadIdx.x % 4;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const float high = rounded(rows.slope[r]), middle = rounded(rows.slope[r] - high);
      const float low = rows.slope[r] - high - middle;
      slopes_[r] = lane == 0   ? device::pack<bf16>(high, middle)
                   : lane == 1 ? device::pack<bf16>(low, 0.0f)
                               : 0;
      slopes_[2 + r] = 0;
    }
  }

  // Issues scores = the product for the tile from `key` on; q k^T is to follow at once.
  __device__ __forceinline__ void multiply(float (&scores)[kBlockN / 2], u32 places, int key) {
    pin(scores);
    pin(slopes_);
    wgmma_fence();
    multiply_places(scores, slopes_, row_descriptor(places + (is_behind(key) ? 32 * kBlockN : 0)));
  }

  __device__ __forceinline__ Shift shift(const RowScores& rows, int key) const {
    Shift shift;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const float distance = static_cast<float>(key - rows.position[r]);
      shift.of_row[r] = rows.slope[r] * (is_behind(key) ? -distance : distance);
    }
    return shift;
  }

  // Where a tile has keys before and behind queries, takes from the latter's scores what they have too much.
  __device__ __forceinline__ void correct(float (&scores)[kBlockN / 2], const RowScores& rows, int key) const {
    if (kCausal || is_behind(key) || key + kBlockN <= first_) return;
    const int lane_key = key + static_cast<int>(threadIdx.x % 4 * 2);
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const float distance = static_cast<float>(lane_key - rows.position[r]), factor = -2.0f * rows.slope[r];
#pragma unroll
      for (int j = 0; j < kBlockN / 8; ++j) {
#pragma unroll
        for (int c = 0; c < 2; ++c) {
          float& x = scores[4 * j + 2 * r + c];
          x = fmaf(factor, fmaxf(distance + (8 * j + c), 0.0f), x);
        }
      }
    }
  }

 private:
  // Whether no key of the tile stands before a query.
  __device__ __forceinline__ bool is_behind(int key) const { return !kCausal && key >= last_; }

  u32 slopes_[4];     // the left operand: columns 0, 1 and 2 add up to the row's slope, the others are 0
  int first_, last_;  // positions of the queries
};
