// Rendered by Sprue: attention_portable ALIBI=false ALIGNMENT=16 BIAS=none CAUSAL=true CHUNK=false DROPOUT=false HAS_LSE=true HEAD_DIM=128 HEAD_DIM_V=128 PACKED_HEADS=1 PAGED=false PROBABILITIES=false SCALAR=bf16 SIGNED_SCALE=false SINKS=false SOFTCAP=false VARLEN=false WINDOW=false | BLOCKS_PER_SM=2 BLOCK_M=128 BLOCK_N=64 KEY_PARTS=1 QUERY_IN_REGISTERS=false STAGES=1 WARPS=4

// out[b, i, h, :] = sum_j softmax_j(s[b, h, i, j]) v[b, j, g, :],   lse[b, h, i] = ln(sum_j exp(s[b, h, i, j]))
// with the scores s, the keys j that query i sees, dropout and all tensors as sprue/ops.h describes them
// (Attention). Scores, row sums and output accumulate in f32; probabilities are rounded to scalar before they
// meet v.
//
// One block computes kBlockM query rows of one head; it walks over the keys in tiles of kBlockN, last tile
// first, with an online softmax (Dao 2023, arXiv:2307.08691). Each warp owns 16 * kRowTiles rows from the
// scores to the output, so softmax needs no shared memory. With kKeyParts = 2 two warps share twice as many rows
// and exchange their probabilities: fragments of k and v then serve twice as many multiplications, where a warp
// cannot hold 32 rows of the output. Tensor cores through mma.sync, copies through cp.async: sm_80 and later.
//
// An mma.sync takes a scheduler of an H100 six cycles, and every other instruction costs one: what counts is how
// few there are between the multiplications. Hence maxima that are not looked for (online_softmax.cuh), addresses
// that stay in registers, and copies that lie between the multiplications (tile_stream.cuh).

// Scalar types and conversions. All arithmetic is f32; f16 and bf16 exist in memory and as matrix operands
// only.

namespace device {

using u8 = unsigned char;
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
struct none {};  // of what is not there

template <class T>
inline constexpr bool is_given = true;
template <>
inline constexpr bool is_given<none> = false;

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

inline constexpr float kLog2E = 1.4426950408889634f;
inline constexpr float kLn2 = 0.6931471805599453f;

// 2^x; flushes subnormals to zero; 2^-inf is 0. Relative error 2^-22.
__device__ __forceinline__ float exp2_approx(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// 2^x for x < 127 by multiplications and additions, where exp2_approx's own unit is what a kernel waits for.
// Relative error 2^-13; 0 below 2^-126.
__device__ __forceinline__ float exp2_polynomial(float x) {
  constexpr float kRounder = 12582912.0f;  // 1.5 * 2^23: a sum with it has the integer in its low bits
  const float shifted = x + kRounder;
  const float f = x - (shifted - kRounder);  // -0.5 to 0.5
  const float y = fmaf(fmaf(fmaf(0.055171669f, f, 0.24261113f), f, 0.69326097f), f, 0.99992806f);
  const float power = __uint_as_float((__float_as_uint(shifted) << 23) + 0x3f800000u);
  return x < -126.0f ? 0.0f : y * power;
}

// log2(x); absolute error 2^-22 near 1, relative 2^-22 elsewhere.
__device__ __forceinline__ float log2_approx(float x) {
  float y;
  asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// tanh(x); relative error 2^-11.
__device__ __forceinline__ float tanh_approx(float x) {
  float y;
  asm("tanh.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

__device__ __forceinline__ float negative_infinity() {
  return __int_as_float(static_cast<int>(0xff800000u));
}

// x. What is computed from it is computed anew in every round of a loop: it takes no registers in between.
__device__ __forceinline__ int anew(int x) {
  asm volatile("" : "+r"(x));
  return x;
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
template <>
struct Raw<1> {
  using type = u8;
};

// dst = *src, one access of sizeof(T) * N bytes; src is aligned to that.
template <class T, int N>
__device__ __forceinline__ Vec<T, N> load(const T* src) {
  using R = typename Raw<sizeof(T) * N>::type;
  R raw = *reinterpret_cast<const R*>(src);
  return reinterpret_cast<Vec<T, N>&>(raw);
}

template <class T, int N>
__device__ __forceinline__ void store(T* dst, const Vec<T, N>& value) {
  using R = typename Raw<sizeof(T) * N>::type;
  *reinterpret_cast<R*>(dst) = reinterpret_cast<const R&>(value);
}

// vector.at[i]. Of a word that holds two bf16 the upper one is the word without its lower half: one operation, where
// taking it out and shifting it back are two.
template <class T, int N>
__device__ __forceinline__ float element(const Vec<T, N>& vector, int i) {
  return to_f32(vector.at[i]);
}
template <int N>
__device__ __forceinline__ float element(const Vec<bf16, N>& vector, int i) {
  if constexpr (N % 2 == 0) {
    if (i % 2 == 1) return __uint_as_float(reinterpret_cast<const u32(&)[N / 2]>(vector)[i / 2] & 0xffff0000u);
  }
  return to_f32(vector.at[i]);
}

}  // namespace device

// Barriers in shared memory that wait for cp.async of many threads (mbarrier, sm_80 and later): a thread that waits
// for the copies of all others need not wait for whatever else they do.

namespace device {

// For `arrivals` threads, which tell that others may overwrite what they, or their warps, have read. By one thread,
// before a block barrier.
__device__ __forceinline__ void init_read_barrier(u32 barrier, int arrivals) {
  asm volatile("mbarrier.init.shared.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}

__device__ __forceinline__ void arrive_read(u32 barrier) {
  asm volatile(
      "{\n"
      "  .reg .b64 state;\n"
      "  mbarrier.arrive.shared.b64 state, [%0];\n"
      "}" ::"r"(barrier)
      : "memory");
}

// For `threads` threads, which all call arrive_copied() once in every phase; phases have parity 0, 1, 0, ... By one
// thread, before a block barrier.
__device__ __forceinline__ void init_copy_barrier(u32 barrier, int threads) {
  init_read_barrier(barrier, 2 * threads);
}

// Arrives for what this thread has stored, and again when its copies are done.
__device__ __forceinline__ void arrive_copied(u32 barrier) {
  asm volatile("cp.async.mbarrier.arrive.noinc.shared.b64 [%0];" ::"r"(barrier) : "memory");
  arrive_read(barrier);
}

// Waits until the phase of this parity is complete, of either barrier. A new barrier counts as having completed a
// phase of parity 1.
__device__ __forceinline__ void wait_copied(u32 barrier, u32 parity) {
  asm volatile(
      "{\n"
      "  .reg .pred complete;\n"
      "again:\n"
#if __CUDA_ARCH__ >= 900
      "  mbarrier.try_wait.parity.shared.b64 complete, [%0], %1;\n"
#else
      "  mbarrier.test_wait.parity.shared.b64 complete, [%0], %1;\n"
#endif
      "  @!complete bra.uni again;\n"
      "}" ::"r"(barrier),
      "r"(parity)
      : "memory");
}

}  // namespace device

// Asynchronous copies from global to shared memory (cp.async, sm_80 and later). Each thread waits for its own
// copies; a __syncthreads() after the wait makes them visible to the block.

// Shared memory by 32-bit address, as copies and matrix instructions take it.

namespace device {

__device__ __forceinline__ u32 shared_address(const void* p) {
  return static_cast<u32>(__cvta_generic_to_shared(p));
}

__device__ __forceinline__ int load_shared(u32 address) {
  int x;
  asm volatile("ld.shared.s32 %0, [%1];" : "=r"(x) : "r"(address) : "memory");
  return x;
}
// x[0, 4)
__device__ __forceinline__ void load_shared(int* x, u32 address) {
  asm volatile("ld.shared.v4.s32 {%0, %1, %2, %3}, [%4];"
               : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3])
               : "r"(address)
               : "memory");
}
__device__ __forceinline__ float4 load_shared_vector(u32 address) {
  float4 x;
  asm volatile("ld.shared.v4.f32 {%0, %1, %2, %3}, [%4];"
               : "=f"(x.x), "=f"(x.y), "=f"(x.z), "=f"(x.w)
               : "r"(address)
               : "memory");
  return x;
}
__device__ __forceinline__ void store_shared(u32 address, int x) {
  asm volatile("st.shared.s32 [%0], %1;" ::"r"(address), "r"(x) : "memory");
}
// 16 bytes of zeros.
__device__ __forceinline__ void clear_shared(u32 address) {
  asm volatile("st.shared.v4.u32 [%0], {%1, %1, %1, %1};" ::"r"(address), "r"(0) : "memory");
}
__device__ __forceinline__ void store_shared(u32 address, float4 x) {
  asm volatile("st.shared.v4.f32 [%0], {%1, %2, %3, %4};" ::"r"(address), "f"(x.x), "f"(x.y), "f"(x.z),
               "f"(x.w)
               : "memory");
}

// Stores four matrices of 8 x 8 elements of 16 bits: lane l gives the address of row l % 8 of matrix l / 8,
// and holds elements 2 * (l % 4) and the next one of row l / 4 of each (stmatrix, sm_90 and later). By all
// lanes.
__device__ __forceinline__ void store_matrices(u32 address, const u32* x) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(address), "r"(x[0]),
               "r"(x[1]), "r"(x[2]), "r"(x[3])
               : "memory");
}
// As they are, but transposed: lane l gives the address of what becomes row l % 8.
__device__ __forceinline__ void store_matrices_transposed(u32 address, const u32* x) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(address),
               "r"(x[0]), "r"(x[1]), "r"(x[2]), "r"(x[3])
               : "memory");
}

}  // namespace device

namespace device {

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

// Copies 16 bytes if `wanted`, else does nothing.
__device__ __forceinline__ void copy_async_if(u32 dst, const void* src, bool wanted) {
  asm volatile(
      "{\n"
      ".reg .pred wanted;\n"
      "setp.ne.b32 wanted, %2, 0;\n"
      "@wanted cp.async.cg.shared.global.L2::128B [%0], [%1], 16;\n"
      "}" ::"r"(dst),
      "l"(src), "r"(static_cast<int>(wanted)));
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

// Lane l holds d[2 * r + c] = D[l / 4 + 8 * r, 2 * (l % 4) + c] for r, c < 2. D += A * B, f32 accumulation.
template <class T>
__device__ void mma_m16n8k16(float* d, const u32 (&a)[4], u32 b0, u32 b1);
template <>
__device__ __forceinline__ void mma_m16n8k16<f16>(float* d, const u32 (&a)[4], u32 b0, u32 b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, "
      "%1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
template <>
__device__ __forceinline__ void mma_m16n8k16<bf16>(float* d, const u32 (&a)[4], u32 b0, u32 b1) {
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

// The same of the maximum.
template <int kLanes>
__device__ __forceinline__ float lane_max(float x) {
#pragma unroll
  for (int step = kLanes / 2; step > 0; step /= 2) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, step));
  return x;
}

// What exponents are taken relative to: the largest, unless there is none above -inf.
__device__ __forceinline__ float base_of(float max) {
  return max == negative_infinity() ? 0.0f : max;
}

}  // namespace device

// Problem: what is computed. Set by the caller.
using scalar = device::bf16;
constexpr int kHeadDim = 128;
constexpr int kHeadDimV = 128;
constexpr bool kCausal = true;
constexpr bool kWindow = false;
constexpr bool kChunk = false;
constexpr bool kSoftcap = false;
constexpr bool kAlibi = false;
using bias_scalar = device::none;
constexpr bool kSinks = false;
constexpr bool kDropout = false;
constexpr bool kProbabilities = false;  // they are written out
constexpr bool kVarlen = false;                // sequences have lengths of their own
constexpr bool kPaged = false;                  // keys and values are reached through a block table
constexpr int kPackedHeads = 1;      // tile row r is query r / kPackedHeads, head r % kPackedHeads
constexpr bool kSignedScale = false;     // the scale may be less than 1e-20: zero or negative
constexpr bool kHasLse = true;
constexpr int kAlignment = 16;  // bytes that divide every address and stride of q, k, v and out

// Schedule: how it is computed. Affects speed, never the result beyond rounding.
constexpr int kBlockM = 128;
constexpr int kBlockN = 64;
constexpr int kWarps = 4;
constexpr int kStages = 1;                         // tiles of K and of V in shared memory
constexpr bool kQueryInRegisters = false;  // else its fragments are re-read for every tile
constexpr int kKeyParts = 1;                    // warps that share rows, each with a part of the keys
constexpr int kBlocksPerSm = 2;             // the register budget is divided by this

static_assert(kHeadDim % 8 == 0 && kHeadDimV % 8 == 0,
              "rows are copied and multiplied in groups of 8 elements");
static_assert(kBlockM * kKeyParts % (16 * kWarps) == 0, "every warp owns whole 16-row tiles");
static_assert(kBlockM % kPackedHeads == 0, "a tile begins with the first head of a query");
static_assert(kBlockN % (32 * kKeyParts) == 0, "dropout draws its bytes for 32 keys at a time");
static_assert(kStages == 1 || kStages == 2, "one tile in use and at most one on its way");

using namespace device;

constexpr int kThreads = 32 * kWarps;
constexpr int kRowTiles = kBlockM * kKeyParts / (16 * kWarps);  // 16-row tiles per warp
constexpr int kRowsPerWarp = 16 * kRowTiles;
constexpr int kDimSteps = ceil_div(kHeadDim, 16);  // 16-wide steps of q . k
constexpr int kDimPadded = 16 * kDimSteps;  // columns of q and k in shared memory; beyond kHeadDim: zeros
constexpr int kKeyTiles = kBlockN / kKeyParts / 8;  // 8-key tiles of a warp's scores
// Columns of out beyond 256 do not fit a warp's registers: two blocks have kBlockV columns each. They overlap
// where kHeadDimV / 2 is no multiple of 8.
constexpr int kValueParts = ceil_div(kHeadDimV, 256);
constexpr int kBlockV = 8 * ceil_div(kHeadDimV / 8, kValueParts);
constexpr int kOutTiles = kBlockV / kKeyParts / 8;  // 8-column tiles of a warp's output
static_assert(kBlockV % (8 * kKeyParts) == 0, "warps that share rows have as many columns each");

// Shared memory rows have an odd number of 16-byte chunks, so eight neighbouring rows fall into different
// banks.
__host__ __device__ constexpr int pitch_of(int columns) {
  return 8 * ((columns / 8) | 1);
}
constexpr int kPitchK = pitch_of(kDimPadded);
constexpr int kPitchV = pitch_of(kBlockV);
constexpr int kPitchQ = kPitchK > kPitchV ? kPitchK : kPitchV;  // the query buffer also stages the output
constexpr int kTileBytesQ = 2 * kBlockM * kPitchQ;
constexpr int kTileBytesK = 2 * kBlockN * kPitchK;
constexpr int kTileBytesV = 2 * kBlockN * kPitchV;

// What an attention kernel is called with, and where one sequence of the batch lies. Included by an attention
// kernel below its constants: uses scalar and the features' flags. src/ops/attention_arguments.h has the same
// struct.

// Tensors as sprue/ops.h describes them; strides in elements. A pointer is null where nothing was given. With
// packed sequences the batch stride is 0; with pages the batch stride of k and v is a page's.
struct Arguments {
  const scalar *q, *k, *v;
  scalar* out;
  float* lse;
  i64 q_stride[3], k_stride[3], v_stride[3], out_stride[3];  // batch, sequence, head
  i64 lse_stride[3];                                         // batch, head, sequence
  const int *cu_seqlens_q, *cu_seqlens_k, *seqused_q, *seqused_k;
  const int* block_table;
  i64 block_table_stride[2];  // batch, page
  const void* bias;
  i64 bias_stride[3];  // batch, head, query; 0 where the bias is the same for all
  const float *alibi_slopes, *sinks;
  i64 slope_stride[2];  // batch, head
  i64 sink_stride;
  scalar* probabilities;
  i64 probabilities_stride[3];  // batch, head, query
  u32 dropout_keys[14];         // of the seven rounds of Philox
  u64 dropout_offset;
  int batch, heads, kv_heads;
  int seqlen_q, seqlen_k;  // of every sequence, or the most that one can have
  int page_size;
  int window_left, window_right, chunk;  // "no limit" is a number beyond all sequences
  int keep_threshold;                    // a probability is kept if its random byte is at most this
  float keep_scale;                      // 1 / (1 - dropout probability)
  float scale, softcap, empty_lse;
  float capping;  // scale / softcap
  int row_blocks;  // per head: of every sequence; with packed queries of all sequences, or a few more
};

// One sequence of the batch: how long it is, and its first row in q, out and lse, and in k and v.
struct Sequence {
  int seqlen_q, seqlen_k;
  int first_q, first_k;
  int shift;  // query i stands at position i + shift among the keys
};

__device__ __forceinline__ Sequence sequence_of(const Arguments& args, int batch) {
  Sequence s{args.seqlen_q, args.seqlen_k, 0, 0, 0};
  if constexpr (kVarlen) {
    if (args.cu_seqlens_q != nullptr) {
      s.first_q = args.cu_seqlens_q[batch];
      s.seqlen_q = args.cu_seqlens_q[batch + 1] - s.first_q;
    }
    if (args.cu_seqlens_k != nullptr) {
      s.first_k = args.cu_seqlens_k[batch];
      s.seqlen_k = args.cu_seqlens_k[batch + 1] - s.first_k;
    }
    if (args.seqused_q != nullptr) s.seqlen_q = min(s.seqlen_q, args.seqused_q[batch]);
    if (args.seqused_k != nullptr) s.seqlen_k = min(s.seqlen_k, args.seqused_k[batch]);
  }
  s.shift = s.seqlen_k - s.seqlen_q;
  return s;
}

// Which keys a query sees, and which tiles of keys a block of queries has to visit. Included by an attention
// kernel after arguments.cuh: uses kCausal, kWindow, kChunk and kBlockN.

// Keys [first, end); empty if end <= first.
struct KeyRange {
  int first, end;
};

// Whether all queries of a sequence see the same keys: all of them.
constexpr bool kSeesAll = !kCausal && !kWindow && !kChunk;

// The keys that query i sees. Both bounds grow with i.
__device__ __forceinline__ KeyRange visible_keys(const Arguments& args, const Sequence& sequence, int i) {
  const int position = i + sequence.shift;
  KeyRange keys{0, sequence.seqlen_k};
  if constexpr (kCausal) keys.end = min(keys.end, position + 1);
  if constexpr (kWindow) {
    keys.first = max(keys.first, position - args.window_left);
    keys.end = min(keys.end, position + args.window_right + 1);
  }
  if constexpr (kChunk) {
    const int chunk = (position >= 0 ? position : position - args.chunk + 1) / args.chunk * args.chunk;
    keys.first = max(keys.first, chunk);
    keys.end = min(keys.end, chunk + args.chunk);
  }
  return keys;
}

// The tiles that a block of queries visits, [first, end), and those of them, [whole_first, whole_end), whose
// keys every query of the block sees.
struct TileRange {
  int first, end, whole_first, whole_end;
};

// For queries [query, query + queries) of a sequence, as far as it reaches.
__device__ __forceinline__ TileRange visible_tiles(const Arguments& args, const Sequence& sequence, int query,
                                                   int queries) {
  const KeyRange head = visible_keys(args, sequence, query);
  const KeyRange tail =
      kSeesAll ? head : visible_keys(args, sequence, min(query + queries, sequence.seqlen_q) - 1);
  if (tail.end <= head.first) return {};
  return {head.first / kBlockN, (tail.end + kBlockN - 1) / kBlockN, (tail.first + kBlockN - 1) / kBlockN,
          max(head.end, 0) / kBlockN};
}

// What happens to the scores between q . k and the softmax: softcap, ALiBi and bias, and masks. Included by
// an attention kernel below its constants and after visibility.cuh: uses bias_scalar and the features' flags.
//
// A fragment is what a lane holds of 16 rows and N / 4 tiles of 8 keys, as the multiplications leave it:
// s[4 * j + 2 * r + c] is row lane / 4 + 8 * r, key 8 * j + 2 * (lane % 4) + c.

constexpr bool kBias = device::is_given<bias_scalar>;
// Whether the scale comes before the maximum is taken, because it may turn scores around. Otherwise the
// softmax multiplies by softmax_scale, which it does for nothing as part of its subtraction of the maximum.
constexpr bool kScaledScores = kSignedScale && !kSoftcap;

// The softmax takes 2^(softmax_scale * s). Positive: the maximum of s is that of the scaled scores.
__device__ __forceinline__ float softmax_scale(const Arguments& args) {
  if constexpr (kScaledScores) return 1.0f;
  return (kSoftcap ? args.softcap : args.scale) * kLog2E;
}

// Rows of a tile are queries or, with packed heads, the heads of a query and then those of the next one.
struct Row {
  int query, head;  // a query may lie beyond the end of the sequence
};

// `row` counts from the first query's of the sequence; `head` is the tile's (first) head.
__device__ __forceinline__ Row row_of(int row, int head) {
  const u32 r = row;
  return {static_cast<int>(r / kPackedHeads), head + static_cast<int>(r % kPackedHeads)};
}

// The two rows of a fragment that a lane holds, r = 0 and 1. What the features at hand do not use costs
// nothing.
struct RowScores {
  Row row[2];
  KeyRange keys[2];            // that the row sees
  int position[2];             // among the keys
  float slope[2];              // ALiBi's, in the units of s
  const bias_scalar* bias[2];  // rows beyond the sequence have the last one's
  bool bias_in_pairs;          // two neighbouring keys' biases can be loaded at once
  int seqlen_k;
};

// `row` is the fragment's first one.
__device__ __forceinline__ RowScores row_scores(const Arguments& args, const Sequence& sequence, int batch,
                                                int head, int row) {
  RowScores rows;
  rows.seqlen_k = sequence.seqlen_k;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    rows.row[r] = row_of(row + 8 * r + static_cast<int>(threadIdx.x % 32 / 4), head);
    const auto [i, h] = rows.row[r];
    rows.keys[r] = visible_keys(args, sequence, i);
    rows.position[r] = i + sequence.shift;
    if constexpr (kAlibi)
      rows.slope[r] = args.alibi_slopes[batch * args.slope_stride[0] + h * args.slope_stride[1]] * kLog2E /
                      softmax_scale(args);
    if constexpr (kBias) {
      rows.bias[r] = static_cast<const bias_scalar*>(args.bias) + batch * args.bias_stride[0] +
                     h * args.bias_stride[1] + min(i, sequence.seqlen_q - 1) * args.bias_stride[2];
    }
  }
  if constexpr (kBias) {
    const u64 bits = reinterpret_cast<u64>(args.bias) / sizeof(bias_scalar) | args.bias_stride[0] |
                     args.bias_stride[1] | args.bias_stride[2];
    rows.bias_in_pairs = bits % 2 == 0;
  }
  return rows;
}

// s += factor * bias of row r. Keys beyond the sequence's are not read.
template <class T, int N>
__device__ __forceinline__ void add_bias(float (&s)[N], const RowScores& rows, int r, int key, float factor) {
  const int first = key + threadIdx.x % 32 % 4 * 2;
  const T* const bias = rows.bias[r] + first;
  if (rows.bias_in_pairs && key + 2 * N <= rows.seqlen_k) {
#pragma unroll
    for (int j = 0; j < N / 4; ++j) {
      const auto pair = device::load<T, 2>(bias + 8 * j);
#pragma unroll
      for (int c = 0; c < 2; ++c)
        s[4 * j + 2 * r + c] = fmaf(device::to_f32(pair.at[c]), factor, s[4 * j + 2 * r + c]);
    }
  } else {
#pragma unroll
    for (int j = 0; j < N / 4; ++j) {
#pragma unroll
      for (int c = 0; c < 2; ++c) {
        if (8 * j + c < rows.seqlen_k - first)
          s[4 * j + 2 * r + c] = fmaf(device::to_f32(bias[8 * j + c]), factor, s[4 * j + 2 * r + c]);
      }
    }
  }
}

// s -= slope * |distance between the row's query and the key|.
template <int N>
__device__ __forceinline__ void add_alibi(float (&s)[N], const RowScores& rows, int key) {
  // What is added depends on key - query alone, so row r = 1 has what row 0 had 8 keys ago, if both are of
  // one head.
  constexpr bool kRowsShare = kPackedHeads == 1;
  const int first = key + static_cast<int>(threadIdx.x % 4 * 2);
  const float distance[2] = {static_cast<float>(first - rows.position[0]),
                             static_cast<float>(first - rows.position[1])};
  // Under a causal mask no key that is seen lies behind the query: the distance needs no absolute value.
  const auto term = [&](int r, int column) {
    return kCausal ? fmaf(rows.slope[r], column, rows.slope[r] * distance[r]) : distance[r] + column;
  };
  const auto add = [&](float& x, float term, float slope) {
    x = kCausal ? x + term : fmaf(-slope, fabsf(term), x);
  };
  float before[2] = {term(0, -8), term(0, -7)};
#pragma unroll
  for (int j = 0; j < N / 4; ++j) {
#pragma unroll
    for (int c = 0; c < 2; ++c) {
      const float now = term(0, 8 * j + c);
      add(s[4 * j + c], now, rows.slope[0]);
      add(s[4 * j + 2 + c], kRowsShare ? before[c] : term(1, 8 * j + c), rows.slope[kRowsShare ? 0 : 1]);
      before[c] = now;
    }
  }
}

// Softcap, or a scale that may be negative: what happens to q . k before anything is added to it. `capping` is scale /
// softcap.
template <int N>
__device__ __forceinline__ void cap(float (&s)[N], const Arguments& args, float capping) {
  if constexpr (kSoftcap) {
#pragma unroll
    for (int i = 0; i < N; ++i) s[i] = device::tanh_approx(s[i] * capping);
  }
  if constexpr (kScaledScores) {
    const float factor = args.scale * kLog2E;
#pragma unroll
    for (int i = 0; i < N; ++i) s[i] *= factor;
  }
}

// ALiBi and bias, unless they are elsewhere. `key` is the tile's first one.
template <bool kAddsBias = kBias, bool kAddsAlibi = kAlibi, int N>
__device__ __forceinline__ void add_terms(float (&s)[N], const Arguments& args, const RowScores& rows,
                                          int key) {
  if constexpr (kAddsAlibi) add_alibi(s, rows, key);
  if constexpr (kAddsBias) {
    const float factor = kLog2E / softmax_scale(args);
    add_bias<bias_scalar>(s, rows, 0, key, factor);
    add_bias<bias_scalar>(s, rows, 1, key, factor);
  }
}

// Turns q . k into scores, in units of 1 / softmax_scale.
template <bool kAddsAlibi = kAlibi, int N>
__device__ __forceinline__ void score(float (&s)[N], const Arguments& args, const RowScores& rows, int key) {
  cap(s, args, args.capping);
  add_terms<kBias, kAddsAlibi>(s, args, rows, key);
}

// Keys that a row does not see get -inf. Only tiles outside [whole_first, whole_end) need it.
template <int N>
__device__ __forceinline__ void mask(float (&s)[N], const RowScores& rows, int key) {
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const int lane_key = key + static_cast<int>(threadIdx.x % 32 % 4 * 2);
    const int first = rows.keys[r].first - lane_key, end = rows.keys[r].end - lane_key;
#pragma unroll
    for (int j = 0; j < N / 4; ++j) {
#pragma unroll
      for (int c = 0; c < 2; ++c) {
        const int column = 8 * j + c;
        if (column >= end || ((kWindow || kChunk) && column < first))
          s[4 * j + 2 * r + c] = device::negative_infinity();
      }
    }
  }
}

// Dropout of probabilities. Included by an attention kernel after scores.cuh; fragments are as described
// there.
//
// FlashAttention-2's pattern: Philox's key is the seed, its counter {offset + 32 * (batch * heads + head) +
// lane, row / 16, key / 32}, and its 16 bytes are those of a lane's elements of that tile of 16 rows and 32
// keys, in order. An element is kept if its byte is at most keep_threshold.

// Philox 4x32 with 7 rounds: 16 random bytes for each pair of key and counter (Salmon et al. 2011, "Parallel
// random numbers: as easy as 1, 2, 3").

namespace device {

__device__ __forceinline__ uint4 philox_round(uint4 counter, uint2 key) {
  const u64 a = u64{0xD2511F53} * counter.x, b = u64{0xCD9E8D57} * counter.z;
  return {static_cast<u32>(b >> 32) ^ counter.y ^ key.x, static_cast<u32>(b),
          static_cast<u32>(a >> 32) ^ counter.w ^ key.y, static_cast<u32>(a)};
}

// `keys` are the rounds' keys, two words each: the key plus multiples of {0x9E3779B9, 0xBB67AE85}. Read from
// a kernel's parameters they cost neither additions nor registers.
__device__ __forceinline__ uint4 philox(const u32 (&keys)[14], uint4 counter) {
#pragma unroll
  for (int round = 0; round < 7; ++round)
    counter = philox_round(counter, {keys[2 * round], keys[2 * round + 1]});
  return counter;
}

}  // namespace device

static_assert(kPackedHeads == 1 || !(kDropout || kProbabilities),
              "16 rows of the pattern are queries of one head");

// The place of a fragment. Its rows are queries.
struct FragmentPlace {
  int batch, head, row;  // the first row, a multiple of 16
};

// The bytes of a lane for the 32 keys from `key` on, a multiple of 32: word j is for s[4 * j] to s[4 * j +
// 3].
__device__ __forceinline__ uint4 dropout_bytes(const Arguments& args, const FragmentPlace& place, int key) {
  const u64 head = static_cast<u64>(place.batch) * args.heads + place.head;
  const u64 offset = args.dropout_offset + 32 * head + threadIdx.x % 32;
  return device::philox(args.dropout_keys, {static_cast<u32>(offset), static_cast<u32>(offset >> 32),
                                            static_cast<u32>(place.row) / 16, static_cast<u32>(key) / 32});
}

// The highest bit of each byte says whether its element is kept.
__device__ __forceinline__ u32 kept(u32 bytes, int keep_threshold) {
  constexpr u32 kHigh = 0x80808080;
  const u32 threshold = static_cast<u32>(keep_threshold) * 0x01010101;
  const u32 low_at_most = (threshold | kHigh) - (bytes & ~kHigh);  // of the lower seven bits
  return (threshold & ~bytes) | (~(threshold ^ bytes) & low_at_most);
}

// x if element kElement of four is kept, else 0.
template <int kElement>
__device__ __forceinline__ float drop(float x, u32 kept) {
  u32 mask;
  asm("prmt.b32 %0, %1, 0, %2;" : "=r"(mask) : "r"(kept), "n"(0x1111 * (8 | kElement)));  // spreads one bit
  return __uint_as_float(__float_as_uint(x) & mask);
}

// Two neighbours that are packed, each 0 unless it is kept: elements 2 * kPair and 2 * kPair + 1 of four.
template <int kPair>
__device__ __forceinline__ u32 drop_pair(u32 x, u32 kept) {
  u32 mask;
  asm("prmt.b32 %0, %1, 0, %2;" : "=r"(mask) : "r"(kept), "n"(kPair == 0 ? 0x9988 : 0xbbaa));  // spreads two bits
  return x & mask;
}

// probabilities[batch, head, row, key] = p of one tile of 8 keys, negative where dropped; `key` is the tile's
// first one.
__device__ __forceinline__ void store_probabilities(const float* p, u32 kept, const Arguments& args,
                                                    const Sequence& sequence, const FragmentPlace& place,
                                                    int key) {
  const int row = place.row + static_cast<int>(threadIdx.x % 32 / 4);
  const int column = key + static_cast<int>(threadIdx.x % 4 * 2);
  scalar* const dst = args.probabilities + place.batch * args.probabilities_stride[0] +
                      place.head * args.probabilities_stride[1] + row * args.probabilities_stride[2] + column;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int r = 8 * (i / 2), c = i % 2;
    if (row + r < sequence.seqlen_q && column + c < sequence.seqlen_k)
      dst[r * args.probabilities_stride[2] + c] =
          device::from_f32<scalar>(kept >> (8 * i + 7) & 1 ? p[i] : -p[i]);
  }
}

// Sets dropped probabilities to 0; with kProbabilities writes all of them out before. Comes after the row
// sums, which are those without dropout. `key` is the fragment's first one, a multiple of 32.
template <int N>
__device__ __forceinline__ void apply_dropout(float (&p)[N], const Arguments& args, const Sequence& sequence,
                                              const FragmentPlace& place, int key) {
  static_assert(N % 16 == 0, "random bytes come for 32 keys at a time");
#pragma unroll
  for (int j = 0; j < N / 4; j += 4) {
    const uint4 bytes = kDropout ? dropout_bytes(args, place, key + 8 * j) : uint4{};
    const u32 words[4] = {bytes.x, bytes.y, bytes.z, bytes.w};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      float* const tile = p + 4 * (j + i);
      const u32 keep = kDropout ? kept(words[i], args.keep_threshold) : ~0u;
      if constexpr (kProbabilities) store_probabilities(tile, keep, args, sequence, place, key + 8 * (j + i));
      if constexpr (kDropout) {
        tile[0] = drop<0>(tile[0], keep);
        tile[1] = drop<1>(tile[1], keep);
        tile[2] = drop<2>(tile[2], keep);
        tile[3] = drop<3>(tile[3], keep);
      }
    }
  }
}

// Sets dropped ones to 0 among probabilities that are packed: p[2 * j + r] holds s[4 * j + 2 * r] and its
// neighbour. `key` is the fragment's first one, a multiple of 32.
template <int N>
__device__ __forceinline__ void drop_packed(u32 (&p)[N], const Arguments& args, const FragmentPlace& place,
                                            int key) {
  static_assert(N % 8 == 0, "random bytes come for 32 keys at a time");
#pragma unroll
  for (int j = 0; j < N / 2; j += 4) {
    const uint4 bytes = dropout_bytes(args, place, key + 8 * j);
    const u32 words[4] = {bytes.x, bytes.y, bytes.z, bytes.w};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const u32 keep = kept(words[i], args.keep_threshold);
      u32* const pairs = p + 2 * (j + i);
      pairs[0] = drop_pair<0>(pairs[0], keep);
      pairs[1] = drop_pair<1>(pairs[1], keep);
    }
  }
}

// Which tile of queries a block computes, when there is a block for every tile. Included by an attention
// kernel below its constants and after arguments.cuh.
//
// A head has args.row_blocks blocks for each sequence; with packed queries it has them for all sequences
// together: total_q * kPackedHeads / kBlockM + batch, enough for each to start a tile of its own.

// Which of the packed sequences a block belongs to. Included by an attention kernel below its constants.
//
// A head has total * kPackedHeads / kRows + batch blocks for all sequences together, enough for each to start a block
// of its own.

// The blocks of earlier sequences, where sequences are packed; a block has kRows rows of one.
template <int kRows>
__device__ __forceinline__ int blocks_before(const int* cu_seqlens, int batch) {
  return static_cast<int>(static_cast<i64>(cu_seqlens[batch]) * kPackedHeads / kRows) + batch;
}

// The sequence that such a block belongs to: the last one that starts at or before it. By all lanes of a
// warp.
template <int kRows>
__device__ __forceinline__ int sequence_at(const int* cu_seqlens, int batches, int row_block) {
  int first = 0, candidates = batches;
  while (candidates > 1) {
    const int step = ceil_div(candidates, 32);
    const int offset = static_cast<int>(threadIdx.x % 32) * step;
    const bool at_or_before =
        offset < candidates && blocks_before<kRows>(cu_seqlens, first + offset) <= row_block;
    const int skipped = (__popc(__ballot_sync(0xffffffffu, at_or_before)) - 1) * step;
    first += skipped;
    candidates = min(step, candidates - skipped);
  }
  return first;
}

// The order of tiles in a grid of rows and columns whose rows differ in length. Included by an attention kernel.

struct TilePlace {
  int column, row;
};

// Tile `index`. Sections of `section` neighbouring columns follow each other, and in each its rows do. The last section
// begins at column `last` and has all that are left: a narrow one would end with few blocks that have a tile.
__device__ __forceinline__ TilePlace tile_in_sections(int index, int rows, int columns, int section, int last) {
  const int first = min(index / (section * rows) * section, last);
  const int width = first == last ? columns - first : section;
  const int local = index - first * rows;
  return {first + local % width, local / width};
}

struct Place {
  int batch;                 // negative: nowhere
  int head;                  // the first of kPackedHeads
  int first_row;             // of the sequence's rows: kPackedHeads for each query
  int first_column;          // of v and out
  bool is_first_of_columns;  // of the blocks that share these rows
  Sequence sequence;
};

// A column is a head block and a part of out, of one sequence or of all. Blocks of a column are neighbours, so its keys
// and values stay in L2. Causal blocks start with the longest rows of kSectionColumns columns, so that there are short
// ones left when others end.
__device__ __forceinline__ TilePlace block_at(const Arguments& args, int index, int columns) {
  constexpr int kSectionColumns = 20;  // measured on an H100 SXM
  if (!kCausal || (kVarlen && args.cu_seqlens_q != nullptr))
    return {index / args.row_blocks, index % args.row_blocks};
  return tile_in_sections(index, args.row_blocks, columns, kSectionColumns,
                          max(columns / kSectionColumns - 1, 0) * kSectionColumns);
}

// Called again where the result is stored: reading the block index anew keeps it out of the registers of the main loop.
// By all lanes of a warp.
__device__ __forceinline__ Place place_of_block(const Arguments& args) {
  int index;
  asm volatile("mov.u32 %0, %%ctaid.x;" : "=r"(index));
  const int columns = args.heads / kPackedHeads * kValueParts;
  auto [column, row_block] = block_at(args, index, args.batch * columns);

  Place place;
  if (kVarlen && args.cu_seqlens_q != nullptr) {
    place.batch = sequence_at<kBlockM>(args.cu_seqlens_q, args.batch, row_block);
    row_block -= blocks_before<kBlockM>(args.cu_seqlens_q, place.batch);
  } else {
    place.batch = column / columns;
    column %= columns;
  }
  place.sequence = sequence_of(args, place.batch);
  const int row_blocks =
      kVarlen ? ceil_div(place.sequence.seqlen_q * kPackedHeads, kBlockM) : args.row_blocks;
  if (kVarlen && row_block >= row_blocks) place.batch = -1;

  place.head = column / kValueParts * kPackedHeads;
  place.first_row = (kCausal ? row_blocks - 1 - row_block : row_block) * kBlockM;
  place.is_first_of_columns = column % kValueParts == 0;
  place.first_column = place.is_first_of_columns ? 0 : kHeadDimV - kBlockV;
  return place;
}

// Copies of tiles into shared memory. Included by an attention kernel below its constants and after
// scores.cuh: uses scalar, kAlignment and kThreads.

// Where the rows of a tile come from: address() is the current row's, which must not be read unless it is
// valid.

struct StridedRows {
  const scalar* row;
  i64 stride;

  __device__ __forceinline__ void advance(int rows) { row += rows * stride; }
  __device__ __forceinline__ const scalar* address(bool) const { return row; }
};

// Rows of queries that share a head of keys and values.
struct PackedQueries {
  const scalar* first;  // query and head 0
  i64 query_stride, head_stride;
  int row;

  __device__ __forceinline__ void advance(int rows) { row += rows; }
  __device__ __forceinline__ const scalar* address(bool) const {
    const auto [query, head] = row_of(row, 0);
    return first + query * query_stride + head * head_stride;
  }
};

// Keys or values that are reached through a block table.
struct PagedRows {
  const scalar* first;  // row of page 0
  i64 page_stride, row_stride;
  const int* table;  // of the sequence
  i64 table_stride;
  u32 page_size;
  u32 key;

  __device__ __forceinline__ void advance(int rows) { key += rows; }
  __device__ __forceinline__ const scalar* address(bool valid) const {
    // key / page_size without a division for every row: the estimate is right or too small by one.
    u32 n = __umulhi(key, 0xffffffffu / page_size);
    u32 offset = key - n * page_size;
    if (offset >= page_size) {
      ++n;
      offset -= page_size;
    }
    const int page = valid ? table[n * table_stride] : 0;
    return first + page * page_stride + offset * row_stride;
  }
};

// The rows of k or v from key `key` of a sequence on.
__device__ __forceinline__ StridedRows strided_rows(const Sequence& sequence, int batch, int kv_head,
                                                    const scalar* tensor, const i64 (&stride)[3], int key) {
  return {tensor + kv_head * stride[2] + batch * stride[0] + (sequence.first_k + key) * stride[1], stride[1]};
}
__device__ __forceinline__ auto key_rows(const Arguments& args, const Sequence& sequence, int batch,
                                         int kv_head, const scalar* tensor, const i64 (&stride)[3], int key) {
  const scalar* const first = tensor + kv_head * stride[2];
  if constexpr (kPaged) {
    return PagedRows{first,
                     stride[0],
                     stride[1],
                     args.block_table + batch * args.block_table_stride[0],
                     args.block_table_stride[1],
                     static_cast<u32>(args.page_size),
                     static_cast<u32>(key)};
  } else {
    return strided_rows(sequence, batch, kv_head, tensor, stride, key);
  }
}

// The queries of a tile, from the sequence's row `row` on.
__device__ __forceinline__ auto query_rows(const Arguments& args, const Sequence& sequence, int batch,
                                           int head, int row) {
  const i64(&stride)[3] = args.q_stride;
  const scalar* const first = args.q + batch * stride[0] + sequence.first_q * stride[1] + head * stride[2];
  if constexpr (kPackedHeads > 1) {
    return PackedQueries{first, stride[1], stride[2], row};
  } else {
    return StridedRows{first + row * stride[1], stride[1]};
  }
}

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
template <int kRows, int kColumns, int kPitch, class Rows>
__device__ __forceinline__ void copy_tile(u32 tile, Rows rows, int valid_rows) {
  using Shape = CopyShape<kRows, kColumns>;
  constexpr int kVec = Shape::kVec;
  const int row = threadIdx.x / Shape::kColumnThreads, column = threadIdx.x % Shape::kColumnThreads;
  const u32 dst = tile + 2 * (row * kPitch + column * kVec);
  rows.advance(row);
#pragma unroll(kAlignment == 2 ? 2 : Shape::kRowPasses)  // 2-byte copies go through registers: few at a time
  for (int i = 0; i < Shape::kRowPasses; ++i) {
    const int r = i * Shape::kRowThreads;
    if (kRows % Shape::kRowThreads == 0 || row + r < kRows) {
      const bool valid = row + r < valid_rows;
      const scalar* const src = rows.address(valid) + column * kVec;
#pragma unroll
      for (int j = 0; j < Shape::kColumnPasses; ++j) {
        const int c = j * Shape::kColumnThreads;
        if (Shape::kVecsPerRow % Shape::kColumnThreads == 0 || column + c < Shape::kVecsPerRow)
          copy_async<kAlignment>(dst + 2 * (r * kPitch + c * kVec), src + c * kVec, valid);
      }
    }
    rows.advance(Shape::kRowThreads);
  }
}

// The columns between kColumns and the next multiple of 16 of a tile; no copy ever writes them.
template <int kRows, int kColumns, int kPitch>
__device__ __forceinline__ void zero_padding(scalar* tile) {
  if constexpr (kColumns % 16 != 0) {
    for (int r = threadIdx.x; r < kRows; r += kThreads)
      *reinterpret_cast<uint4*>(tile + r * kPitch + kColumns) = uint4{};
  }
}

// Tiles of keys and values that arrive while the ones before are multiplied, and how the warps of a block tell each
// other what has arrived and what they no longer need. Included by attention_portable after tiles.cuh.

// x, which stays in a register: the compiler cannot compute it again where it is used. By all lanes of a warp.
__device__ __forceinline__ u32 in_register(u32 x) {
  return __shfl_sync(0xffffffffu, x, threadIdx.x % 32);
}
__device__ __forceinline__ i64 in_register(i64 x) {
  return static_cast<i64>(in_register(static_cast<u32>(x >> 32))) << 32 | in_register(static_cast<u32>(x));
}

// Copies whole tiles of strided rows, each below the one before, in passes that lie between other work: a thread
// keeps the address of its next row. By all threads; asynchronous.
template <int kRows, int kColumns, int kPitch>
struct TileStream {
  using Shape = CopyShape<kRows, kColumns>;
  static constexpr int kPasses = Shape::kRowPasses;
  static constexpr bool kFits = kAlignment == 16 && kRows % Shape::kRowThreads == 0;

  const scalar* next;
  i64 step;
  u32 dst;  // of the lowest pass in stage 0

  // `rows` are those of the last tile, `stage_0` is where stage 0 lies.
  __device__ __forceinline__ TileStream(u32 stage_0, StridedRows rows) {
    if constexpr (!(kStages == 2 && kFits)) return;
    const int row = threadIdx.x / Shape::kColumnThreads, column = threadIdx.x % Shape::kColumnThreads;
    step = in_register(Shape::kRowThreads * rows.stride);
    next = rows.row + row * rows.stride - step + column * Shape::kVec;
    dst = in_register(stage_0 + 2 * (row * kPitch + column * Shape::kVec));
  }
  // Pass `pass` of the next tile, whose stage lies `offset` behind stage 0; nothing is copied unless `wanted`.
  __device__ __forceinline__ void copy(int pass, u32 offset, bool wanted) {
    const int column = threadIdx.x % Shape::kColumnThreads;
#pragma unroll
    for (int j = 0; j < Shape::kColumnPasses; ++j) {
      const int c = j * Shape::kColumnThreads;
      const bool inside = Shape::kVecsPerRow % Shape::kColumnThreads == 0 || column + c < Shape::kVecsPerRow;
      copy_async_if(dst + offset + 2 * ((kPasses - 1 - pass) * Shape::kRowThreads * kPitch + c * Shape::kVec),
                    next + c * Shape::kVec, wanted && inside);
    }
    next -= step;
    asm volatile("" : "+l"(next));  // or every pass computes its address from the first one's
  }
  // Before the passes of a tile are repeated.
  __device__ __forceinline__ void back() {
    next += kPasses * step;
  }
};
using KeyStream = TileStream<kBlockN, kHeadDim, kPitchK>;
using ValueStream = TileStream<kBlockN, kBlockV, kPitchV>;

constexpr bool kStreams = kStages == 2 && !kPaged && !kProbabilities && KeyStream::kFits && ValueStream::kFits;
// Where a block has a multiprocessor to itself, no other block works while it waits at a barrier: its warps may then
// be most of a tile apart.
constexpr bool kSplitsBarrier = kStreams && kBlocksPerSm == 1;

// The copies of the next tile, between the kDimSteps steps of this one's products of queries and keys.
struct NextTile {
  KeyStream keys;
  ValueStream values;

  // Four groups of passes, which cost less than single ones; where barriers are split the others get time to read.
  static constexpr int kFirstStep = kSplitsBarrier ? kDimSteps / 4 : 0;
  static constexpr int kGroups = kDimSteps < 4 ? kDimSteps : 4;

  // What comes behind step `step`, to stage `stage`.
  __device__ __forceinline__ void copy(int step, int stage, bool wanted) {
    constexpr int kPasses = KeyStream::kPasses + ValueStream::kPasses;
#pragma unroll
    for (int i = 0; i < kPasses; ++i) {
      if (kFirstStep + i * kGroups / kPasses * (kDimSteps - kFirstStep) / kGroups != step) continue;
      if (i < KeyStream::kPasses) {
        keys.copy(i, stage * kTileBytesK, wanted);
      } else {
        values.copy(i - KeyStream::kPasses, stage * kTileBytesV, wanted);
      }
    }
  }
  __device__ __forceinline__ void back() {
    keys.back();
    values.back();
  }
};

// Between the warps of a block, for tiles 0, 1, ... in the order in which they are multiplied. By all threads.
class TileBarriers {
 public:
  __device__ __forceinline__ TileBarriers() {
    if constexpr (kSplitsBarrier) {
      __shared__ u64 barriers[4];
      copied_ = shared_address(barriers);
      if (threadIdx.x < 2) {
        init_copy_barrier(copied_ + 8 * threadIdx.x, kThreads);
        init_read_barrier(copied_ + 16 + 8 * threadIdx.x, kWarps);
      }
      __syncthreads();
    }
  }
  // This thread has issued its copies of a tile.
  __device__ __forceinline__ void copies_issued(int tile) {
    if constexpr (kSplitsBarrier) {
      arrive_copied(copied_ + 8 * (tile & 1));
    } else {
      commit_copies();
    }
  }
  // Waits for all copies of a tile.
  __device__ __forceinline__ void wait_for_copies(int tile) {
    if constexpr (kSplitsBarrier) {
      wait_copied(copied_ + 8 * (tile & 1), tile >> 1 & 1);
    } else {
      wait_copies<0>();
      __syncthreads();
    }
  }
  // This warp has read a tile.
  __device__ __forceinline__ void reads_done(int tile) {
    if constexpr (kSplitsBarrier) {
      __syncwarp();
      if (threadIdx.x % 32 == 0) arrive_read(copied_ + 16 + 8 * (tile & 1));
    }
  }
  // Waits until a tile may be copied over the one before the last.
  __device__ __forceinline__ void wait_for_reads(int tile) {
    if constexpr (kSplitsBarrier) wait_copied(copied_ + 16 + 8 * (tile & 1), (tile >> 1 & 1) ^ 1);
  }

 private:
  u32 copied_;  // of even and odd tiles; behind them those of reads
};

// A warp's part of attention with mma.sync: products, the online softmax and the output. Included by an attention
// kernel after dropout.cuh: uses scalar, the features' flags and the tile shapes and pitches. By all lanes of a
// warp.

constexpr float kLowest = -3.4028234e38f;
// The running maximum is raised only when it has grown by more than this (in powers of two): until then the
// probabilities stay below 2^8, far from overflow, and the output need not be rescaled.
constexpr float kMaxSlack = kProbabilities ? 0.0f : 8.0f;
// With kStreams maxima are not even looked for, unless a lane's share of a row's sum over one tile reaches this,
// far from what scalar overflows at: queries and keys of the tile are then multiplied once more.
constexpr float kMostSum = 32768.0f;
// Either way each row decides for itself, so its result does not depend on the rows it shares a tile with.
constexpr u32 kAllRows = (1u << 2 * kRowTiles) - 1;  // bit 2 * t + r: row 16 * t + 8 * r + lane / 4

// What a warp holds of one tile's scores: rows 16 * t + 8 * r + lane / 4, keys 8 * j + 2 * (lane % 4) + c in
// at[t][4 * j + 2 * r + c].
struct Scores {
  float at[kRowTiles][4 * kKeyTiles];
};

// Their exponentials as the left operand of p . v: keys 8 * j + 2 * (lane % 4) and the next one in at[t][2 * j + r].
struct Probabilities {
  u32 at[kRowTiles][2 * kKeyTiles];
};

// A warp's rows of the output and the state of their online softmax; indices as above, columns instead of
// keys.
struct Accumulator {
  float out[kRowTiles][kOutTiles][4];
  float row_max[kRowTiles][2];  // in units of log2, of the scaled scores
  float row_sum[kRowTiles][2];  // this lane's share, of 2^(scaled score - row_max)

  __device__ __forceinline__ void clear() {
    *this = {};
#pragma unroll
    for (int t = 0; t < kRowTiles; ++t) row_max[t][0] = row_max[t][1] = negative_infinity();
  }
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

// scores = q . k; `query_of(step)` gives the query fragments, `between(step)` is called after each step.
template <class QueryOf, class Between>
__device__ __forceinline__ void multiply_keys(Scores& scores, const QueryOf& query_of, u32 k_lane,
                                              const Between& between) {
#pragma unroll
  for (int t = 0; t < kRowTiles; ++t) {
#pragma unroll
    for (int i = 0; i < 4 * kKeyTiles; ++i) scores.at[t][i] = 0.0f;
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
        mma_m16n8k16<scalar>(scores.at[t] + 4 * j, query[step % 2].at[t], keys[now][0], keys[now][1]);
        mma_m16n8k16<scalar>(scores.at[t] + 4 * j + 4, query[step % 2].at[t], keys[now][2], keys[now][3]);
      }
    }
    between(step);
  }
}

// Row `row` of the tile of queries, in the sequence.
__device__ __forceinline__ int sequence_row(const Place& place, int row) {
  constexpr bool kDerivesMuch = kSoftcap || kScaledScores || kAlibi || kBias || kDropout || kProbabilities;
  return (kDerivesMuch ? anew(place.first_row) : place.first_row) + row;
}

// The features that change scores, and masks. `warp_row` is the warp's first row in the tile of queries, `key` its
// first key.
__device__ __forceinline__ void modify_scores(Scores& scores, const Arguments& args, const Place& place,
                                              const TileRange& tiles, int warp_row, int tile, int key) {
  const bool whole = tile < tiles.whole_end && tile >= tiles.whole_first;
  // Writing probabilities takes many registers, and is for tests: what can be computed anew is.
  const Place here = kProbabilities ? place_of_block(args) : place;
  const int first_row = sequence_row(here, warp_row);
#pragma unroll
  for (int t = 0; t < kRowTiles; ++t) {
    const RowScores rows = row_scores(args, here.sequence, here.batch, here.head, first_row + 16 * t);
    score(scores.at[t], args, rows, key);
    if (!whole) mask(scores.at[t], rows, key);
  }
}

// What a lane sees of a row's maximum.
__device__ __forceinline__ float row_maximum(const Scores& scores, int t, int r) {
  float m = negative_infinity();
#pragma unroll
  for (int j = 0; j < kKeyTiles; ++j)
    m = fmaxf(m, fmaxf(scores.at[t][4 * j + 2 * r], scores.at[t][4 * j + 2 * r + 1]));
  return m;
}

// The bits of all lanes of a quad.
__device__ __forceinline__ u32 quad_or(u32 rows) {
  rows |= __shfl_xor_sync(0xffffffffu, rows, 1);
  return rows | __shfl_xor_sync(0xffffffffu, rows, 2);
}

// The rows whose maximum, as far as a lane sees it, has grown by more than the slack.
__device__ __forceinline__ u32 rows_grown(const Accumulator& acc, const Scores& scores, float scale) {
  u32 rows = 0;
#pragma unroll
  for (int t = 0; t < kRowTiles; ++t) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      if (row_maximum(scores, t, r) * scale > acc.row_max[t][r] + kMaxSlack) rows |= 1u << (2 * t + r);
    }
  }
  return rows;
}

// Raises the maxima of `rows` to those of a tile and rescales what was summed under the old ones. Returns the rows
// that have none yet.
__device__ __forceinline__ u32 raise_maxima(Accumulator& acc, const Scores& scores, float scale, u32 rows) {
  u32 empty = 0;
#pragma unroll
  for (int t = 0; t < kRowTiles; ++t) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const float raised = quad_max(row_maximum(scores, t, r)) * scale;
      const bool grows = (rows >> (2 * t + r) & 1) != 0 && raised > acc.row_max[t][r];
      const float factor = grows ? exp2_approx(acc.row_max[t][r] - raised) : 1.0f;
      acc.row_max[t][r] = grows ? raised : acc.row_max[t][r];
      acc.row_sum[t][r] *= factor;
#pragma unroll
      for (int c = 0; c < kOutTiles; ++c) {
        acc.out[t][c][2 * r] *= factor;
        acc.out[t][c][2 * r + 1] *= factor;
      }
      if (acc.row_max[t][r] == negative_infinity()) empty |= 1u << (2 * t + r);
    }
  }
  return empty;
}

// Scores become probabilities for 8-key tiles j to j + kTilesAtOnce - 1: p = 2^(scale * score - row_max), without
// those that dropout drops. Adds them all to `sum`, a lane's share of the rows' sums. `key` is the warp's first one.
constexpr int kTilesAtOnce = kDropout || kProbabilities ? 4 : 2;
__device__ __forceinline__ void exponentiate(Probabilities& p, float (&sum)[kRowTiles][2], Scores& scores, int j,
                                             const float (&row_max)[kRowTiles][2], const Arguments& args,
                                             const Place& place, int warp_row, int key) {
  const float scale = softmax_scale(args);
  const Place here = kProbabilities ? place_of_block(args) : place;
#pragma unroll
  for (int t = 0; t < kRowTiles; ++t) {
    float(&s)[4 * kTilesAtOnce] = reinterpret_cast<float(&)[4 * kTilesAtOnce]>(scores.at[t][4 * j]);
    u32(&packed)[2 * kTilesAtOnce] = reinterpret_cast<u32(&)[2 * kTilesAtOnce]>(p.at[t][2 * j]);
#pragma unroll
    for (int i = 0; i < 2 * kTilesAtOnce; ++i) {
      const int r = i % 2;
      const float offset = -fmaxf(row_max[t][r], kLowest);  // finite even if the row saw no key yet
      s[2 * i] = exp2_approx(fmaf(s[2 * i], scale, offset));
      s[2 * i + 1] = exp2_approx(fmaf(s[2 * i + 1], scale, offset));
      sum[t][r] += s[2 * i] + s[2 * i + 1];
    }
    const FragmentPlace fragment{here.batch, here.head, sequence_row(here, warp_row + 16 * t)};
    if constexpr (kProbabilities) apply_dropout(s, args, here.sequence, fragment, key + 8 * j);
#pragma unroll
    for (int i = 0; i < 2 * kTilesAtOnce; ++i) packed[i] = pack<scalar>(s[2 * i], s[2 * i + 1]);
    if constexpr (kDropout && !kProbabilities) drop_packed(packed, args, fragment, key + 8 * j);
  }
}

// Whether a lane has a sum that is too large, or no number.
__device__ __forceinline__ bool any_beyond(const float (&sum)[kRowTiles][2]) {
  bool beyond = false;
#pragma unroll
  for (int t = 0; t < kRowTiles; ++t) beyond |= !(fmaxf(sum[t][0], sum[t][1]) < kMostSum);
  return beyond;
}

// The rows of a quad any of whose sums is too large, or no number.
__device__ __forceinline__ u32 rows_beyond(const float (&sum)[kRowTiles][2]) {
  u32 rows = 0;
#pragma unroll
  for (int t = 0; t < kRowTiles; ++t) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      if (!(sum[t][r] < kMostSum)) rows |= 1u << (2 * t + r);
    }
  }
  return quad_or(rows);
}

// out += p v for 16 keys, 8-key tiles j and j + 1.
__device__ __forceinline__ void multiply_values(Accumulator& acc, const Probabilities& p, u32 v_lane, int j) {
  const auto multiply_column = [&](int c, u32 v0, u32 v1) {
#pragma unroll
    for (int t = 0; t < kRowTiles; ++t) {
      const u32 a[4] = {p.at[t][2 * j], p.at[t][2 * j + 1], p.at[t][2 * j + 2], p.at[t][2 * j + 3]};
      mma_m16n8k16<scalar>(acc.out[t][c], a, v0, v1);
    }
  };
#pragma unroll
  for (int c = 0; c + 1 < kOutTiles; c += 2) {
    u32 values[4];
    load_matrix_x4_transposed(values, v_lane + 2 * (8 * j * kPitchV + 8 * c));
    multiply_column(c, values[0], values[1]);
    multiply_column(c + 1, values[2], values[3]);
  }
  if constexpr (kOutTiles % 2 == 1) {
    u32 values[2];
    load_matrix_x2_transposed(values[0], values[1], v_lane + 2 * (8 * j * kPitchV + 8 * (kOutTiles - 1)));
    multiply_column(kOutTiles - 1, values[0], values[1]);
  }
}

// P between two warps that share their rows: each has it of its own part of a tile's keys, and multiplies all of it
// with its own part of the output's columns. Included by attention_portable after online_softmax.cuh. By all lanes of
// a warp.

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

// What attention_portable writes: a warp's rows of out and lse. Included by the kernel.

// Normalises the row of an accumulator: what its output has to be multiplied by, and its lse.
struct Normalised {
  float factor, lse;
};
__device__ __forceinline__ Normalised normalise(const Arguments& args, float row_max, float row_sum, int head) {
  float sum = quad_sum(row_sum), maximum = row_max, factor = 1.0f;
  if constexpr (kSinks) {
    const float sink = args.sinks[head * args.sink_stride] * kLog2E;
    maximum = fmaxf(fmaxf(row_max, sink), kLowest);
    factor = exp2_approx(row_max - maximum);
    sum = fmaf(sum, factor, exp2_approx(sink - maximum));
  }
  if constexpr (kDropout) factor *= args.keep_scale;
  return {sum == 0.0f ? 0.0f : factor / sum, sum == 0.0f ? args.empty_lse : (maximum + log2_approx(sum)) * kLn2};
}

// The output passes through the query tile. A warp touches only its own rows of it, so a warp barrier is
// enough.
__device__ __forceinline__ void store_output(const Accumulator& acc, const Arguments& args, scalar* tile_q,
                                             int warp_row, int part) {
  const Place place = place_of_block(args);
  const int lane = threadIdx.x % 32;
  const int rows = place.sequence.seqlen_q * kPackedHeads;
  __syncwarp();
#pragma unroll
  for (int t = 0; t < kRowTiles; ++t) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int local = warp_row + 16 * t + 8 * r + lane / 4;
      const auto [query, head] = row_of(place.first_row + local, place.head);
      const auto [factor, lse] = normalise(args, acc.row_max[t][r], acc.row_sum[t][r], head);
      if constexpr (kHasLse) {
        if (lane % 4 == 0 && place.first_row + local < rows && place.is_first_of_columns && part == 0) {
          args.lse[place.batch * args.lse_stride[0] + head * args.lse_stride[1] +
                   (place.sequence.first_q + query) * args.lse_stride[2]] = lse;
        }
      }
#pragma unroll
      for (int c = 0; c < kOutTiles; ++c) {
        *reinterpret_cast<u32*>(tile_q + local * kPitchQ + 8 * (part * kOutTiles + c) + lane % 4 * 2) =
            pack<scalar>(acc.out[t][c][2 * r] * factor, acc.out[t][c][2 * r + 1] * factor);
      }
    }
  }
  __syncwarp();

  constexpr int kVec = kAlignment / 2;
  constexpr int kVecsPerRow = 8 * kOutTiles / kVec;
  scalar* const out = args.out + place.batch * args.out_stride[0] + place.first_column;
#pragma unroll 4
  for (int index = lane; index < kRowsPerWarp * kVecsPerRow; index += 32) {
    const int local = warp_row + index / kVecsPerRow, column = (index % kVecsPerRow + part * kVecsPerRow) * kVec;
    const auto [query, head] = row_of(place.first_row + local, place.head);
    if (place.first_row + local < rows) {
      store(out + (place.sequence.first_q + query) * args.out_stride[1] + head * args.out_stride[2] + column,
            load<scalar, kVec>(tile_q + local * kPitchQ + column));
    }
  }
}

extern "C" __global__ void __launch_bounds__(kThreads, kBlocksPerSm)
    attention_portable(const __grid_constant__ Arguments args) {
  extern __shared__ __align__(16) unsigned char shared[];
  scalar* const tile_q = reinterpret_cast<scalar*>(shared);
  scalar* const tiles_k = reinterpret_cast<scalar*>(shared + kTileBytesQ);
  scalar* const tiles_v = reinterpret_cast<scalar*>(shared + kTileBytesQ + kStages * kTileBytesK);

  const Place place = place_of_block(args);
  if (kVarlen && place.batch < 0) return;
  const Sequence& sequence = place.sequence;
  const int kv_head = place.head / (args.heads / args.kv_heads);
  const TileRange tiles =
      visible_tiles(args, sequence, place.first_row / kPackedHeads, kBlockM / kPackedHeads);
  const int last = tiles.end - 1;

  const int warp = __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x / 32), 0);  // known to be uniform
  const int lane = threadIdx.x % 32;
  const int warp_row = warp / kKeyParts * kRowsPerWarp;
  const int part = warp % kKeyParts;

  const auto stage_of = [](int tile) { return kStages == 1 ? 0 : tile & 1; };
  const auto copy_k = [&](int tile) {
    copy_tile<kBlockN, kHeadDim, kPitchK>(
        shared_address(tiles_k) + stage_of(tile) * kTileBytesK,
        key_rows(args, sequence, place.batch, anew(kv_head), args.k, args.k_stride, tile * kBlockN),
        sequence.seqlen_k - tile * kBlockN);
  };
  const auto copy_v = [&](int tile) {
    copy_tile<kBlockN, kBlockV, kPitchV>(
        shared_address(tiles_v) + stage_of(tile) * kTileBytesV,
        key_rows(args, sequence, place.batch, anew(kv_head), args.v + place.first_column, args.v_stride,
                 tile * kBlockN),
        sequence.seqlen_k - tile * kBlockN);
  };

  TileBarriers barriers;
  ProbabilityExchange exchange(shared_address(tiles_v) + kStages * kTileBytesV, warp);
  zero_padding<kBlockM, kHeadDim, kPitchQ>(tile_q);
  zero_padding<kStages * kBlockN, kHeadDim, kPitchK>(tiles_k);
  if (last >= tiles.first) {
    copy_tile<kBlockM, kHeadDim, kPitchQ>(shared_address(tile_q),
                                          query_rows(args, sequence, place.batch, place.head, place.first_row),
                                          sequence.seqlen_q * kPackedHeads - place.first_row);
    copy_k(last);
    if constexpr (kStages > 1) copy_v(last);
    barriers.copies_issued(0);
  }

  // Lane addresses inside the tiles: A fragments of q, B fragments of k (rows are keys), B fragments of v
  // (transposed).
  const u32 q_lane = in_register(shared_address(tile_q) + 2 * ((warp_row + lane % 16) * kPitchQ + lane / 16 * 8));
  const u32 k_lane = in_register(shared_address(tiles_k) + part * 16 * kKeyTiles * kPitchK +
                          2 * ((lane % 8 + lane / 16 * 8) * kPitchK + lane / 8 % 2 * 8));
  const u32 v_lane = in_register(shared_address(tiles_v) + 2 * (lane % 16 * kPitchV + lane / 16 * 8 + part * 8 * kOutTiles));

  QueryStep query[kQueryInRegisters ? kDimSteps : 1] = {};
  const auto query_of = [&](int step) {
    if constexpr (kQueryInRegisters) {
      return query[step];
    } else {
      return load_query(q_lane, step);
    }
  };
  if (kQueryInRegisters && last >= tiles.first) {
    barriers.wait_for_copies(0);
#pragma unroll
    for (int step = 0; step < kDimSteps; ++step) query[step] = load_query(q_lane, step);
  }

  NextTile next{
      KeyStream(shared_address(tiles_k),
                strided_rows(sequence, place.batch, kv_head, args.k, args.k_stride, last * kBlockN)),
      ValueStream(shared_address(tiles_v), strided_rows(sequence, place.batch, kv_head, args.v + place.first_column,
                                                        args.v_stride, last * kBlockN))};
  if constexpr (kHeadDim == kBlockV && kPitchK == kPitchV)
    next.values.dst = next.keys.dst + kStages * kTileBytesK;  // a register less

  Accumulator acc;
  acc.clear();
  u32 unknown = kAllRows;  // the rows whose maximum is to be looked for
  const int last_query = (place.first_row + warp_row + kRowsPerWarp - 1) / kPackedHeads;  // of the warp
  const int keys_end = visible_keys(args, sequence, last_query).end;
#pragma unroll 1
  for (int tile = last; tile >= tiles.first; --tile) {
    barriers.wait_for_copies(last - tile);
    const bool more = tile > tiles.first, sees = kSeesAll || tile * kBlockN < keys_end;
    const u32 k_tile = k_lane + stage_of(tile) * kTileBytesK, v_tile = v_lane + stage_of(tile) * kTileBytesV;
    if constexpr (kStages == 1) {
      copy_v(tile);
      commit_copies();
    } else if (!kStreams && more) {
      copy_k(tile - 1);
      copy_v(tile - 1);
      commit_copies();
    }
    const auto copy_next = [&](int step) {
      if (step == NextTile::kFirstStep) barriers.wait_for_reads(last - tile + 1);
      next.copy(step, stage_of(tile - 1), more);
    };

    const int key = tile * kBlockN + part * 8 * kKeyTiles;  // the warp's first one
    Scores scores;
    Probabilities p;
    const auto exponentiate_at = [&](int j, float (&sum)[kRowTiles][2]) {
      exponentiate(p, sum, scores, j, acc.row_max, args, place, warp_row, key);
    };
    if constexpr (kStreams) {
      if (sees) {
        float sum[kRowTiles][2];
#pragma unroll 1
        for (bool again = false;; again = true) {
          multiply_keys(scores, query_of, k_tile, copy_next);
          modify_scores(scores, args, place, tiles, warp_row, tile, key);
          if (__any_sync(0xffffffffu, unknown != 0))
            unknown = raise_maxima(acc, scores, softmax_scale(args), unknown);
#pragma unroll
          for (int t = 0; t < kRowTiles; ++t) sum[t][0] = sum[t][1] = 0.0f;
#pragma unroll
          for (int j = 0; j < kKeyTiles; j += kTilesAtOnce) exponentiate_at(j, sum);
          if (again || !__any_sync(0xffffffffu, any_beyond(sum))) break;
          unknown = rows_beyond(sum);
          next.back();
        }
#pragma unroll
        for (int t = 0; t < kRowTiles; ++t) {
#pragma unroll
          for (int r = 0; r < 2; ++r) acc.row_sum[t][r] += sum[t][r];
        }
      } else {
#pragma unroll
        for (int step = 0; step < kDimSteps; ++step) copy_next(step);
      }
      if (more) barriers.copies_issued(last - tile + 1);
      if (sees) {
        if constexpr (kKeyParts > 1) exchange.give(p, acc.row_max);
        const u32 v_own = v_tile + part * 16 * kKeyTiles * kPitchV;
#pragma unroll
        for (int j = 0; j < kKeyTiles; j += 2) multiply_values(acc, p, v_own, j);
        if constexpr (kKeyParts > 1) {
          float row_max[kRowTiles][2];
          exchange.take(p, row_max);
          if (__any_sync(0xffffffffu, differ(acc.row_max, row_max))) unknown = unite_maxima(acc, p, row_max);
          const u32 v_other = v_tile + (part ^ 1) * 16 * kKeyTiles * kPitchV;
#pragma unroll
          for (int j = 0; j < kKeyTiles; j += 2) multiply_values(acc, p, v_other, j);
        }
      }
      barriers.reads_done(last - tile);
    } else {
      if (sees) multiply_keys(scores, query_of, k_tile, [](int) {});
      if constexpr (kStages == 1) {
        wait_copies<0>();
        __syncthreads();
        if (more) {
          copy_k(tile - 1);
          commit_copies();
        }
      }
      if (sees) {
        modify_scores(scores, args, place, tiles, warp_row, tile, key);
        const u32 grown = rows_grown(acc, scores, softmax_scale(args));
        if (__any_sync(0xffffffffu, grown != 0)) raise_maxima(acc, scores, softmax_scale(args), quad_or(grown));
#pragma unroll
        for (int j = 0; j < kKeyTiles; j += kTilesAtOnce) {
          exponentiate_at(j, acc.row_sum);
#pragma unroll
          for (int i = j; i < j + kTilesAtOnce; i += 2) multiply_values(acc, p, v_tile, i);
        }
      }
    }
  }

  if constexpr (kKeyParts > 1) {
    float others[kRowTiles][2];
#pragma unroll
    for (int t = 0; t < kRowTiles; ++t) {
#pragma unroll
      for (int r = 0; r < 2; ++r) others[t][r] = acc.row_sum[t][r];
    }
    exchange.exchange(others);
#pragma unroll
    for (int t = 0; t < kRowTiles; ++t) {
#pragma unroll
      for (int r = 0; r < 2; ++r) acc.row_sum[t][r] += others[t][r];
    }
  }
  store_output(acc, args, tile_q, warp_row, part);
}
