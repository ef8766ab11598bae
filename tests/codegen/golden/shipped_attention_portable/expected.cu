// Rendered by Sprue: attention_portable ALIGNMENT=16 CAUSAL=true HAS_LSE=true HEAD_DIM=128 HEAD_DIM_V=128 SCALAR=bf16 | BLOCKS_PER_SM=2 BLOCK_M=128 BLOCK_N=64 QUERY_IN_REGISTERS=false STAGES=1 WARPS=4

// out[b, i, h, :] = sum_j softmax_j(scale * q[b, i, h, :] . k[b, j, g, :]) v[b, j, g, :]
// lse[b, h, i]    = ln(sum_j exp(scale * q[b, i, h, :] . k[b, j, g, :]))     with g = h / (heads / kv_heads)
//
//   q    [batch, seqlen_q, heads, kHeadDim]      out [batch, seqlen_q, heads, kHeadDimV]   any strides,
//   k    [batch, seqlen_k, kv_heads, kHeadDim]   lse [batch, heads, seqlen_q] f32          last one 1
//   v    [batch, seqlen_k, kv_heads, kHeadDimV]
//
// Causal: key j is visible to query i when j <= i + seqlen_k - seqlen_q. A row that sees no key has out 0,
// lse -inf. Scores, row sums and output accumulate in f32; probabilities are rounded to scalar before they
// meet v.
//
// One block computes kBlockM query rows of one head; it walks over the keys in tiles of kBlockN, last tile
// first, with an online softmax (Dao 2023, arXiv:2307.08691). Each warp owns 16 * kRowTiles rows from the
// scores to the output, so softmax needs no shared memory. Tensor cores through mma.sync, copies through
// cp.async: sm_80 and later.

// Scalar types and conversions. All arithmetic is f32; f16 and bf16 exist in memory and as matrix operands
// only.

namespace device {

using u16 = unsigned short;
using u32 = unsigned int;
using u64 = unsigned long long;
using i64 = long long;

using f32 = float;
struct f16 {
  u16 bits;
};
struct bf16 {
  u16 bits;
};

__device__ __forceinline__ float to_f32(f32 x) {
  return x;
}
__device__ __forceinline__ float to_f32(f16 x) {
  float y;
  asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x.bits));
  return y;
}
__device__ __forceinline__ float to_f32(bf16 x) {
  return __uint_as_float(static_cast<u32>(x.bits) << 16);
}

// from_f32<T>(x): x rounded to nearest even.
template <class T>
__device__ T from_f32(float x);
template <>
__device__ __forceinline__ f32 from_f32<f32>(float x) {
  return x;
}
template <>
__device__ __forceinline__ f16 from_f32<f16>(float x) {
  f16 y;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
  return y;
}
template <>
__device__ __forceinline__ bf16 from_f32<bf16>(float x) {
  bf16 y;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
  return y;
}

// pack<T>(low, high): two rounded 16-bit values in one register, as matrix fragments hold them.
template <class T>
__device__ u32 pack(float low, float high);
template <>
__device__ __forceinline__ u32 pack<f16>(float low, float high) {
  u32 y;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(high), "f"(low));
  return y;
}
template <>
__device__ __forceinline__ u32 pack<bf16>(float low, float high) {
  u32 y;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(high), "f"(low));
  return y;
}

// 2^x; flushes subnormals to zero; 2^-inf is 0. Relative error 2^-22.
__device__ __forceinline__ float exp2_approx(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// log2(x); absolute error 2^-22 near 1, relative 2^-22 elsewhere.
__device__ __forceinline__ float log2_approx(float x) {
  float y;
  asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

__device__ __forceinline__ float negative_infinity() {
  return __int_as_float(static_cast<int>(0xff800000u));
}

__host__ __device__ constexpr int ceil_div(int a, int b) {
  return (a + b - 1) / b;
}
__host__ __device__ constexpr int round_up(int a, int b) {
  return ceil_div(a, b) * b;
}

// The largest power of two that is at most n; n >= 1.
__host__ __device__ constexpr int power_of_two_below(int n) {
  return n < 2 ? 1 : 2 * power_of_two_below(n / 2);
}

}  // namespace device

// Vec<T, N>: N values that move through memory in one access.

namespace device {

template <class T, int N>
struct alignas(sizeof(T) * N) Vec {
  T at[N];
};

template <int kBytes>
struct Raw;
template <>
struct Raw<16> {
  using type = uint4;
};
template <>
struct Raw<8> {
  using type = uint2;
};
template <>
struct Raw<4> {
  using type = u32;
};
template <>
struct Raw<2> {
  using type = u16;
};

// dst = *src, one access of sizeof(T) * N bytes; src is aligned to that.
template <class T, int N>
__device__ __forceinline__ Vec<T, N> load(const T* src) {
  using R = typename Raw<sizeof(T) * N>::type;
  R raw = *reinterpret_cast<const R*>(src);
  return reinterpret_cast<Vec<T, N>&>(raw);
}

// Like load, for data that this kernel reads once: keeps it out of L1 (evict first) and fetches 256-byte L2
// lines.
template <class T, int N>
__device__ __forceinline__ Vec<T, N> load_streaming(const T* src) {
  if constexpr (sizeof(T) * N == 16) {
    uint4 raw;
    asm volatile("ld.global.L1::no_allocate.L2::256B.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(raw.x), "=r"(raw.y), "=r"(raw.z), "=r"(raw.w)
                 : "l"(src));
    return reinterpret_cast<Vec<T, N>&>(raw);
  } else {
    return load<T, N>(src);
  }
}

template <class T, int N>
__device__ __forceinline__ void store(T* dst, const Vec<T, N>& value) {
  using R = typename Raw<sizeof(T) * N>::type;
  *reinterpret_cast<R*>(dst) = reinterpret_cast<const R&>(value);
}

}  // namespace device

// Asynchronous copies from global to shared memory (cp.async, sm_80 and later). Each thread waits for its own
// copies; a __syncthreads() after the wait makes them visible to the block.

namespace device {

__device__ __forceinline__ u32 shared_address(const void* p) {
  return static_cast<u32>(__cvta_generic_to_shared(p));
}

// Copies kBytes (16, 8, 4 or 2) to `dst`, or zeros if `valid` is false: then src is not read. 2-byte copies
// are ordinary ones.
template <int kBytes>
__device__ __forceinline__ void copy_async(u32 dst, const void* src, bool valid) {
  if constexpr (kBytes == 16) {
    asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"(dst), "l"(src),
                 "r"(valid ? 16 : 0));
  } else if constexpr (kBytes == 2) {
    const u16 value = valid ? *static_cast<const u16*>(src) : u16{0};
    asm volatile("st.shared.u16 [%0], %1;" ::"r"(dst), "h"(value) : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(dst), "l"(src), "n"(kBytes),
                 "r"(valid ? kBytes : 0));
  }
}

// Closes the group of copies this thread has issued since the last commit.
__device__ __forceinline__ void commit_copies() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}

// Waits until at most kPending of this thread's groups are unfinished.
template <int kPending>
__device__ __forceinline__ void wait_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

}  // namespace device

// Warp-level matrix multiply-accumulate (mma.sync m16n8k16, sm_80 and later) and the fragment loads that feed
// it. Every function is executed by all 32 lanes of a warp.

namespace device {

// Lane l holds d[2 * r + c] = D[l / 4 + 8 * r, 2 * (l % 4) + c]. D += A * B, f32 accumulation.
template <class T>
__device__ void mma_m16n8k16(float (&d)[4], const u32 (&a)[4], u32 b0, u32 b1);
template <>
__device__ __forceinline__ void mma_m16n8k16<f16>(float (&d)[4], const u32 (&a)[4], u32 b0, u32 b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, "
      "%1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
template <>
__device__ __forceinline__ void mma_m16n8k16<bf16>(float (&d)[4], const u32 (&a)[4], u32 b0, u32 b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Four 8x8 matrices of 16-bit values; lanes 8 * i to 8 * i + 7 give the row addresses of matrix i, which
// lands in r[i].
__device__ __forceinline__ void load_matrix_x4(u32 (&r)[4], u32 address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address));
}

// The same, each matrix transposed.
__device__ __forceinline__ void load_matrix_x4_transposed(u32 (&r)[4], u32 address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address));
}

// Two 8x8 matrices, transposed; lanes 0 to 15 give the addresses.
__device__ __forceinline__ void load_matrix_x2_transposed(u32& r0, u32& r1, u32 address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
               : "=r"(r0), "=r"(r1)
               : "r"(address));
}

}  // namespace device

// Reductions across lanes and warps.

namespace device {

__device__ __forceinline__ float quad_max(float x) {
  x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 1));
  return fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 2));
}

__device__ __forceinline__ float quad_sum(float x) {
  x += __shfl_xor_sync(0xffffffffu, x, 1);
  return x + __shfl_xor_sync(0xffffffffu, x, 2);
}

// The sum over kLanes neighbouring lanes (a power of two), in every one of them and in a fixed order.
template <int kLanes>
__device__ __forceinline__ float lane_sum(float x) {
#pragma unroll
  for (int step = kLanes / 2; step > 0; step /= 2) x += __shfl_xor_sync(0xffffffffu, x, step);
  return x;
}

}  // namespace device

// Problem: what is computed. Set by the caller.
using scalar = device::bf16;
constexpr int kHeadDim = 128;
constexpr int kHeadDimV = 128;
constexpr bool kCausal = true;
constexpr bool kHasLse = true;
constexpr int kAlignment = 16;  // bytes that divide every address and stride

// Schedule: how it is computed. Affects speed, never the result beyond rounding.
constexpr int kBlockM = 128;
constexpr int kBlockN = 64;
constexpr int kWarps = 4;
constexpr int kStages = 1;                         // tiles of K and of V in shared memory
constexpr bool kQueryInRegisters = false;  // else its fragments are re-read for every tile
constexpr int kBlocksPerSm = 2;             // the register budget is divided by this

static_assert(kHeadDim % 8 == 0 && kHeadDimV % 8 == 0,
              "rows are copied and multiplied in groups of 8 elements");
static_assert(kBlockM % (16 * kWarps) == 0, "every warp owns whole 16-row tiles");
static_assert(kBlockN % 16 == 0, "probabilities are multiplied with v 16 keys at a time");
static_assert(kStages == 1 || kStages == 2, "one tile in use and at most one on its way");

using namespace device;

constexpr int kThreads = 32 * kWarps;
constexpr int kRowTiles = kBlockM / (16 * kWarps);  // 16-row tiles per warp
constexpr int kDimSteps = ceil_div(kHeadDim, 16);   // 16-wide steps of q . k
constexpr int kDimPadded = 16 * kDimSteps;  // columns of q and k in shared memory; beyond kHeadDim: zeros
constexpr int kKeyTiles = kBlockN / 8;      // 8-key tiles of the scores
constexpr int kOutTiles = kHeadDimV / 8;    // 8-column tiles of the output
constexpr int kRowsPerWarp = 16 * kRowTiles;

// Shared memory rows have an odd number of 16-byte chunks, so eight neighbouring rows fall into different
// banks.
__host__ __device__ constexpr int pitch_of(int columns) {
  return 8 * ((columns / 8) | 1);
}
constexpr int kPitchK = pitch_of(kDimPadded);
constexpr int kPitchV = pitch_of(kHeadDimV);
constexpr int kPitchQ = kPitchK > kPitchV ? kPitchK : kPitchV;  // the query buffer also stages the output
constexpr int kTileBytesQ = 2 * kBlockM * kPitchQ;
constexpr int kTileBytesK = 2 * kBlockN * kPitchK;
constexpr int kTileBytesV = 2 * kBlockN * kPitchV;

constexpr float kLog2E = 1.4426950408889634f;
constexpr float kLowest = -3.4028234e38f;
constexpr float kLn2 = 0.6931471805599453f;
// The running maximum is raised only when it has grown by more than this (in powers of two): until then the
// probabilities stay below 2^8, far from overflow, and the output need not be rescaled.
constexpr float kMaxSlack = 8.0f;

// Copies of tiles into shared memory. Included by an attention kernel below its constants: uses scalar,
// kAlignment, kThreads, kHeadDim and kDimPadded.

// How the threads of a block share the copy of a tile: each takes the same columns of every kRowThreads-th
// row, so its addresses differ by constants and by one stride.
template <int kRows, int kColumns>
struct CopyShape {
  static constexpr int kVec = kAlignment / 2;
  static constexpr int kVecsPerRow = kColumns / kVec;
  static constexpr int kColumnThreads = power_of_two_below(kVecsPerRow < 32 ? kVecsPerRow : 32);
  static constexpr int kRowThreads = kThreads / kColumnThreads;
  static constexpr int kRowPasses = ceil_div(kRows, kRowThreads);
  static constexpr int kColumnPasses = ceil_div(kVecsPerRow, kColumnThreads);
};

// tile[r, :] = rows[r, :] for r < kRows; rows from `valid_rows` on become zeros. By all threads;
// asynchronous.
template <int kRows, int kColumns, int kPitch>
__device__ __forceinline__ void copy_tile(u32 tile, const scalar* rows, i64 row_stride, int valid_rows) {
  using Shape = CopyShape<kRows, kColumns>;
  constexpr int kVec = Shape::kVec;
  const int row = threadIdx.x / Shape::kColumnThreads, column = threadIdx.x % Shape::kColumnThreads;
  const u32 dst = tile + 2 * (row * kPitch + column * kVec);
  const scalar* src = rows + row * row_stride + column * kVec;
#pragma unroll(kAlignment == 2 ? 2 : Shape::kRowPasses)  // 2-byte copies go through registers: few at a time
  for (int i = 0; i < Shape::kRowPasses; ++i) {
    const int r = i * Shape::kRowThreads;
    if (kRows % Shape::kRowThreads == 0 || row + r < kRows) {
#pragma unroll
      for (int j = 0; j < Shape::kColumnPasses; ++j) {
        const int c = j * Shape::kColumnThreads;
        if (Shape::kVecsPerRow % Shape::kColumnThreads == 0 || column + c < Shape::kVecsPerRow) {
          copy_async<kAlignment>(dst + 2 * (r * kPitch + c * kVec), src + c * kVec, row + r < valid_rows);
        }
      }
    }
    src += Shape::kRowThreads * row_stride;
  }
}

// The columns between kHeadDim and kDimPadded of a tile; no copy ever writes them.
template <int kRows, int kPitch>
__device__ __forceinline__ void zero_padding(scalar* tile) {
  if constexpr (kDimPadded != kHeadDim) {
    for (int r = threadIdx.x; r < kRows; r += kThreads)
      *reinterpret_cast<uint4*>(tile + r * kPitch + kHeadDim) = uint4{};
  }
}

// A warp's part of attention with mma.sync: scores, masks, the online softmax and the output. Included by an
// attention kernel below its constants: uses scalar, kCausal and the tile shapes and pitches. By all lanes of
// a warp.

// What a warp holds of one tile's scores: rows 16 * t + 8 * r + lane / 4, keys 8 * j + 2 * (lane % 4) + c in
// at[t][j][2 * r + c].
struct Scores {
  float at[kRowTiles][kKeyTiles][4];
};

// A warp's rows of the output and the state of their online softmax; indices as above, columns instead of
// keys.
struct Accumulator {
  float out[kRowTiles][kOutTiles][4];
  float row_max[kRowTiles][2];  // in units of log2: scale * log2(e) * score
  float row_sum[kRowTiles][2];  // this lane's share, of 2^(scaled score - row_max)
};

// The query fragments of one 16-wide step.
struct QueryStep {
  u32 at[kRowTiles][4];
};

__device__ __forceinline__ QueryStep load_query(u32 q_lane, int step) {
  QueryStep query;
#pragma unroll
  for (int t = 0; t < kRowTiles; ++t)
    load_matrix_x4(query.at[t], q_lane + 2 * (16 * t * kPitchQ + 16 * step));
  return query;
}

// scores = q . k; `query_of(step)` gives the query fragments.
template <class QueryOf>
__device__ __forceinline__ void multiply_keys(Scores& scores, const QueryOf& query_of, u32 k_lane) {
#pragma unroll
  for (int t = 0; t < kRowTiles; ++t) {
#pragma unroll
    for (int j = 0; j < kKeyTiles; ++j) {
#pragma unroll
      for (int i = 0; i < 4; ++i) scores.at[t][j][i] = 0.0f;
    }
  }
  // Fragments are loaded one multiplication ahead.
  QueryStep query[2] = {query_of(0)};
  u32 keys[2][4];
  load_matrix_x4(keys[0], k_lane);
#pragma unroll
  for (int step = 0; step < kDimSteps; ++step) {
#pragma unroll
    for (int j = 0; j < kKeyTiles; j += 2) {
      const int now = (step * kKeyTiles + j) / 2 % 2;
      const int next_step = step + (j + 2) / kKeyTiles, next_j = (j + 2) % kKeyTiles;
      if (next_step < kDimSteps)
        load_matrix_x4(keys[now ^ 1], k_lane + 2 * (8 * next_j * kPitchK + 16 * next_step));
      if (j + 2 == kKeyTiles && step + 1 < kDimSteps) query[(step + 1) % 2] = query_of(step + 1);
#pragma unroll
      for (int t = 0; t < kRowTiles; ++t) {
        mma_m16n8k16<scalar>(scores.at[t][j], query[step % 2].at[t], keys[now][0], keys[now][1]);
        mma_m16n8k16<scalar>(scores.at[t][j + 1], query[step % 2].at[t], keys[now][2], keys[now][3]);
      }
    }
  }
}

// Scores for a scale below zero or of zero, as scores for its absolute value or for one: the softmax takes
// maxima before it scales.
__device__ __forceinline__ void apply_sign(Scores& scores, float scale) {
  const float sign = scale < 0.0f ? -1.0f : 0.0f;
#pragma unroll
  for (int t = 0; t < kRowTiles; ++t) {
#pragma unroll
    for (int j = 0; j < kKeyTiles; ++j) {
#pragma unroll
      for (int i = 0; i < 4; ++i) scores.at[t][j][i] *= sign;
    }
  }
}

// Keys that a row does not see get -inf. `row` is the warp's first row, `key` the tile's first key.
__device__ __forceinline__ void mask(Scores& scores, int row, int key, int seqlen_k, int shift) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int t = 0; t < kRowTiles; ++t) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int visible = kCausal ? min(seqlen_k, row + 16 * t + 8 * r + lane / 4 + shift + 1) : seqlen_k;
      const int limit = visible - key - lane % 4 * 2;
#pragma unroll
      for (int j = 0; j < kKeyTiles; ++j) {
        if (8 * j >= limit) scores.at[t][j][2 * r] = negative_infinity();
        if (8 * j + 1 >= limit) scores.at[t][j][2 * r + 1] = negative_infinity();
      }
    }
  }
}

// Raises the maxima that have grown by more than the slack and rescales what was summed under the old ones.
__device__ __forceinline__ void raise_maxima(Accumulator& acc, const Scores& scores, float scale_log2) {
  float tile_max[kRowTiles][2];
  bool grown = false;
#pragma unroll
  for (int t = 0; t < kRowTiles; ++t) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      float m = negative_infinity();
#pragma unroll
      for (int j = 0; j < kKeyTiles; ++j)
        m = fmaxf(m, fmaxf(scores.at[t][j][2 * r], scores.at[t][j][2 * r + 1]));
      tile_max[t][r] = quad_max(m) * scale_log2;
      grown |= tile_max[t][r] > acc.row_max[t][r] + kMaxSlack;
    }
  }
  if (!__any_sync(0xffffffffu, grown)) return;
#pragma unroll
  for (int t = 0; t < kRowTiles; ++t) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const float raised = fmaxf(acc.row_max[t][r], tile_max[t][r]);
      const float factor = raised == acc.row_max[t][r] ? 1.0f : exp2_approx(acc.row_max[t][r] - raised);
      acc.row_max[t][r] = raised;
      acc.row_sum[t][r] *= factor;
#pragma unroll
      for (int c = 0; c < kOutTiles; ++c) {
        acc.out[t][c][2 * r] *= factor;
        acc.out[t][c][2 * r + 1] *= factor;
      }
    }
  }
}

// out += p v with p = 2^(scale_log2 * score - row_max), 16 keys at a time: the exponentials of one step run
// under the products of the step before.
__device__ __forceinline__ void multiply_values(Accumulator& acc, const Scores& scores, float scale_log2,
                                                u32 v_lane) {
  float bias[kRowTiles][2];
#pragma unroll
  for (int t = 0; t < kRowTiles; ++t) {
#pragma unroll
    for (int r = 0; r < 2; ++r)
      bias[t][r] = -fmaxf(acc.row_max[t][r], kLowest);  // finite even if the row saw no key yet
  }
#pragma unroll
  for (int j = 0; j < kKeyTiles; j += 2) {
    u32 p[kRowTiles][4];
#pragma unroll
    for (int t = 0; t < kRowTiles; ++t) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int r = i % 2;
        const float low = exp2_approx(fmaf(scores.at[t][j + i / 2][2 * r], scale_log2, bias[t][r]));
        const float high = exp2_approx(fmaf(scores.at[t][j + i / 2][2 * r + 1], scale_log2, bias[t][r]));
        acc.row_sum[t][r] += low + high;
        p[t][i] = pack<scalar>(low, high);
      }
    }
#pragma unroll
    for (int c = 0; c + 1 < kOutTiles; c += 2) {
      u32 values[4];
      load_matrix_x4_transposed(values, v_lane + 2 * (8 * j * kPitchV + 8 * c));
#pragma unroll
      for (int t = 0; t < kRowTiles; ++t) {
        mma_m16n8k16<scalar>(acc.out[t][c], p[t], values[0], values[1]);
        mma_m16n8k16<scalar>(acc.out[t][c + 1], p[t], values[2], values[3]);
      }
    }
    if constexpr (kOutTiles % 2 == 1) {
      u32 values[2];
      load_matrix_x2_transposed(values[0], values[1], v_lane + 2 * (8 * j * kPitchV + 8 * (kOutTiles - 1)));
#pragma unroll
      for (int t = 0; t < kRowTiles; ++t)
        mma_m16n8k16<scalar>(acc.out[t][kOutTiles - 1], p[t], values[0], values[1]);
    }
  }
}

struct Params {
  const scalar *q, *k, *v;
  scalar* out;
  float* lse;
  i64 q_stride[3], k_stride[3], v_stride[3], out_stride[3];  // batch, sequence, head
  i64 lse_stride[3];                                         // batch, head, sequence
  int batch, heads, kv_heads, seqlen_q, seqlen_k;
  float scale;
};

struct Place {
  int batch, head, first_row;
};

// What this block computes. Blocks of one head are neighbours, so its keys and values stay in L2; causal
// blocks start with the longest rows. Called again where the result is stored: reading the block index anew
// keeps it out of the registers of the main loop.
__device__ __forceinline__ Place place_of_block(const Params& params) {
  int block;
  asm volatile("mov.u32 %0, %%ctaid.x;" : "=r"(block));
  const int blocks_m = (params.seqlen_q + kBlockM - 1) / kBlockM;
  const int block_m = kCausal ? blocks_m - 1 - block % blocks_m : block % blocks_m;
  return {block / blocks_m / params.heads, block / blocks_m % params.heads, block_m * kBlockM};
}

extern "C" __global__ void __launch_bounds__(kThreads, kBlocksPerSm)
    attention_portable(const __grid_constant__ Params params) {
  extern __shared__ __align__(16) unsigned char shared[];
  scalar* const tile_q = reinterpret_cast<scalar*>(shared);
  scalar* const tiles_k = reinterpret_cast<scalar*>(shared + kTileBytesQ);
  scalar* const tiles_v = reinterpret_cast<scalar*>(shared + kTileBytesQ + kStages * kTileBytesK);

  const auto [batch, head, first_row] = place_of_block(params);
  const int kv_head = head / (params.heads / params.kv_heads);
  const int shift = params.seqlen_k - params.seqlen_q;  // row i sees keys up to i + shift

  const scalar* const q =
      params.q + batch * params.q_stride[0] + first_row * params.q_stride[1] + head * params.q_stride[2];
  const scalar* const k = params.k + batch * params.k_stride[0] + kv_head * params.k_stride[2];
  const scalar* const v = params.v + batch * params.v_stride[0] + kv_head * params.v_stride[2];

  const int visible = kCausal ? min(params.seqlen_k, first_row + kBlockM + shift) : params.seqlen_k;
  const int tiles = visible > 0 ? (visible + kBlockN - 1) / kBlockN : 0;
  // Tiles from here on contain keys that some row does not see.
  const int first_masked =
      kCausal ? max(0, min(params.seqlen_k, first_row + shift + 1)) / kBlockN : params.seqlen_k / kBlockN;

  const int warp = __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x / 32), 0);  // known to be uniform
  const int lane = threadIdx.x % 32;
  const int warp_row = warp * kRowsPerWarp;

  const auto stage_of = [&](int tile) { return kStages == 1 ? 0 : tile % 2; };
  const auto copy_k = [&](int tile) {
    copy_tile<kBlockN, kHeadDim, kPitchK>(shared_address(tiles_k) + stage_of(tile) * kTileBytesK,
                                          k + tile * kBlockN * params.k_stride[1], params.k_stride[1],
                                          params.seqlen_k - tile * kBlockN);
  };
  const auto copy_v = [&](int tile) {
    copy_tile<kBlockN, kHeadDimV, kPitchV>(shared_address(tiles_v) + stage_of(tile) * kTileBytesV,
                                           v + tile * kBlockN * params.v_stride[1], params.v_stride[1],
                                           params.seqlen_k - tile * kBlockN);
  };

  zero_padding<kBlockM, kPitchQ>(tile_q);
  zero_padding<kStages * kBlockN, kPitchK>(tiles_k);
  if (tiles > 0) {
    copy_tile<kBlockM, kHeadDim, kPitchQ>(shared_address(tile_q), q, params.q_stride[1],
                                          params.seqlen_q - first_row);
    copy_k(tiles - 1);
    if constexpr (kStages > 1) copy_v(tiles - 1);
    commit_copies();
  }

  // Lane addresses inside the tiles: A fragments of q, B fragments of k (rows are keys), B fragments of v
  // (transposed).
  const u32 q_lane = shared_address(tile_q) + 2 * ((warp_row + lane % 16) * kPitchQ + lane / 16 * 8);
  const u32 k_lane = shared_address(tiles_k) + 2 * ((lane % 8 + lane / 16 * 8) * kPitchK + lane / 8 % 2 * 8);
  const u32 v_lane = shared_address(tiles_v) + 2 * (lane % 16 * kPitchV + lane / 16 * 8);

  Accumulator acc = {};
#pragma unroll
  for (int t = 0; t < kRowTiles; ++t) acc.row_max[t][0] = acc.row_max[t][1] = negative_infinity();
  const float scale_log2 = params.scale == 0.0f ? 1.0f : fabsf(params.scale) * kLog2E;

  QueryStep query[kQueryInRegisters ? kDimSteps : 1] = {};
  const auto query_of = [&](int step) {
    if constexpr (kQueryInRegisters) {
      return query[step];
    } else {
      return load_query(q_lane, step);
    }
  };

#pragma unroll 1
  for (int tile = tiles - 1; tile >= 0; --tile) {
    wait_copies<0>();
    __syncthreads();
    if constexpr (kStages == 1) {
      copy_v(tile);
      commit_copies();
    } else if (tile > 0) {
      copy_k(tile - 1);
      copy_v(tile - 1);
      commit_copies();
    }
    if (kQueryInRegisters && tile == tiles - 1) {
#pragma unroll
      for (int step = 0; step < kDimSteps; ++step) query[step] = load_query(q_lane, step);
    }

    Scores scores;
    multiply_keys(scores, query_of, k_lane + stage_of(tile) * kTileBytesK);
    if constexpr (kStages == 1) {
      wait_copies<0>();
      __syncthreads();
      if (tile > 0) {
        copy_k(tile - 1);
        commit_copies();
      }
    }
    if (params.scale <= 0.0f) apply_sign(scores, params.scale);
    if (tile >= first_masked) mask(scores, first_row + warp_row, tile * kBlockN, params.seqlen_k, shift);
    raise_maxima(acc, scores, scale_log2);
    multiply_values(acc, scores, scale_log2, v_lane + stage_of(tile) * kTileBytesV);
  }

  // Normalise into the query buffer. A warp touches only its own rows of it, so a warp barrier is enough.
  const Place place = place_of_block(params);
  __syncwarp();
#pragma unroll
  for (int t = 0; t < kRowTiles; ++t) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int local = warp_row + 16 * t + 8 * r + lane / 4;
      const int row = place.first_row + local;
      const float sum = quad_sum(acc.row_sum[t][r]);
      const float inverse = sum == 0.0f ? 0.0f : 1.0f / sum;
      if constexpr (kHasLse) {
        if (lane % 4 == 0 && row < params.seqlen_q) {
          const float lse = sum == 0.0f ? negative_infinity() : (acc.row_max[t][r] + log2_approx(sum)) * kLn2;
          params.lse[place.batch * params.lse_stride[0] + place.head * params.lse_stride[1] +
                     row * params.lse_stride[2]] = lse;
        }
      }
#pragma unroll
      for (int c = 0; c < kOutTiles; ++c) {
        *reinterpret_cast<u32*>(tile_q + local * kPitchQ + 8 * c + lane % 4 * 2) =
            pack<scalar>(acc.out[t][c][2 * r] * inverse, acc.out[t][c][2 * r + 1] * inverse);
      }
    }
  }
  __syncwarp();

  constexpr int kVec = kAlignment / 2;
  constexpr int kVecsPerRow = kHeadDimV / kVec;
  scalar* const dst = params.out + place.batch * params.out_stride[0] + place.head * params.out_stride[2];
#pragma unroll 4
  for (int index = lane; index < kRowsPerWarp * kVecsPerRow; index += 32) {
    const int local = warp_row + index / kVecsPerRow, column = index % kVecsPerRow * kVec;
    const int row = place.first_row + local;
    if (row < params.seqlen_q)
      store(dst + row * params.out_stride[1] + column, load<scalar, kVec>(tile_q + local * kPitchQ + column));
  }
}
