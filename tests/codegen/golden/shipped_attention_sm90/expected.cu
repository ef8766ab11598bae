// Rendered by Sprue: attention_sm90 ALIBI=false BIAS=none BOUNDED=false CAUSAL=true CHUNK=false DROPOUT=false HAS_LSE=true HEAD_DIM=128 HEAD_DIM_V=128 PACKED_HEADS=1 PAGED=false PROBABILITIES=false SCALAR=bf16 SHORT=false SIGNED_SCALE=false SINKS=false SOFTCAP=false VARLEN=false WINDOW=false | BLOCK_M=192 BLOCK_N=80 KEYS_FIRST=false POLYNOMIAL_TILES=0 QUERY_STAGES=2 RESCALE_EARLY=false RESCALE_IF_NEEDED=true STAGED_COLUMNS=0 STAGES=2 TURNS=none

// out[b, i, h, :] = sum_j softmax_j(s[b, h, i, j]) v[b, j, g, :]
// lse[b, h, i]    = ln(sum_j exp(s[b, h, i, j]))
// with the scores s, the keys j that query i sees, dropout and all tensors as sprue/ops.h describes them
// (Attention).
//
// A block is persistent: its producer warp walks over the tiles of queries that the schedule gives it and
// copies queries, keys and values into rings of shared memory with the tensor memory accelerator; its
// consumer warpgroups own 64 rows each and multiply with wgmma. Keys are visited from the last tile to the
// first with an online softmax. The scores of a tile are multiplied while the values of the tile before are,
// and softmax of one warpgroup runs under the products of the other (Shah et al. 2024, arXiv:2407.08608).
// sm_90a only.
//
// Scores, row sums and output accumulate in f32; probabilities are rounded to scalar before they meet v.

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

// Barriers in shared memory that count threads and bytes (mbarrier, sm_90 and later), and the hardware's
// sixteen named barriers.

namespace device {

// A barrier completes a phase when `arrivals` threads have arrived and all bytes announced have been copied;
// phases have parity 0, 1, 0, ... By one thread; fence_barrier_init() and a block barrier come before the
// first use.
__device__ __forceinline__ void init_barrier(u32 barrier, int arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}

// Makes this thread's init_barrier() calls visible to asynchronous copies.
__device__ __forceinline__ void fence_barrier_init() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

__device__ __forceinline__ void arrive(u32 barrier) {
  asm volatile("mbarrier.arrive.release.cta.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}

// Arrives and announces `bytes` of asynchronous copies that the phase has to wait for.
__device__ __forceinline__ void arrive_and_expect(u32 barrier, int bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes)
               : "memory");
}

// Waits until the phase of this parity is complete. A new barrier counts as having completed a phase of
// parity 1.
__device__ __forceinline__ void wait(u32 barrier, u32 parity) {
  asm volatile(
      "{\n"
      "  .reg .pred complete;\n"
      "again:\n"
      "  mbarrier.try_wait.parity.shared::cta.b64 complete, [%0], %1;\n"
      "  @!complete bra.uni again;\n"
      "}" ::"r"(barrier),
      "r"(parity)
      : "memory");
}

// Named barrier `id` of 1 to 15 (0 is __syncthreads()): waits for, or only announces to, `threads` threads in
// all. By whole warps.
__device__ __forceinline__ void named_sync(int id, int threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}
__device__ __forceinline__ void named_arrive(int id, int threads) {
  asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

// Position in a ring of kStages buffers and the parity of the lap.
template <int kStages>
struct Ring {
  int stage = 0;
  u32 parity = 0;

  __device__ __forceinline__ void advance() {
    if (kStages == 1) {
      parity ^= 1;
    } else if (++stage == kStages) {
      stage = 0;
      parity ^= 1;
    }
  }
};

}  // namespace device

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

// Copies of tiles by the tensor memory accelerator (sm_90 and later). Each is issued by one thread.

namespace device {

// What src/driver/tensor_map.h encodes; a member of the kernel's __grid_constant__ parameters.
struct alignas(128) TensorMap {
  u64 opaque[16];
};

// How long L2 keeps what a copy reads.
__device__ __forceinline__ u64 evict_first_policy() {
  u64 policy;
  asm volatile("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
  return policy;
}
__device__ __forceinline__ u64 evict_last_policy() {
  u64 policy;
  asm volatile("createpolicy.fractional.L2::evict_last.b64 %0, 1.0;" : "=l"(policy));
  return policy;
}

// Loads the box at (c0, c1, ...), innermost dimension first, into shared memory; counts its bytes on
// `barrier`. What lies outside the tensor becomes zeros, and counts too.
__device__ __forceinline__ void load_box(u32 dst, const TensorMap& map, u32 barrier, u64 policy, int c0,
                                         int c1, int c2, int c3) {
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.L2::cache_hint [%0], "
      "[%1, {%3, "
      "%4, %5, %6}], [%2], %7;" ::"r"(dst),
      "l"(&map), "r"(barrier), "r"(c0), "r"(c1), "r"(c2), "r"(c3), "l"(policy)
      : "memory");
}
__device__ __forceinline__ void load_box(u32 dst, const TensorMap& map, u32 barrier, u64 policy, int c0,
                                         int c1, int c2, int c3, int c4) {
  asm volatile(
      "cp.async.bulk.tensor.5d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.L2::cache_hint [%0], "
      "[%1, {%3, "
      "%4, %5, %6, %7}], [%2], %8;" ::"r"(dst),
      "l"(&map), "r"(barrier), "r"(c0), "r"(c1), "r"(c2), "r"(c3), "r"(c4), "l"(policy)
      : "memory");
}

// Stores a box from shared memory, as part of this thread's open group of copies; what lies outside the tensor is
// left out.
__device__ __forceinline__ void store_box(const TensorMap& map, u32 src, int c0, int c1, int c2, int c3) {
  asm volatile("cp.async.bulk.tensor.4d.global.shared::cta.tile.bulk_group [%0, {%2, %3, %4, %5}], [%1];" ::"l"(
                   &map),
               "r"(src), "r"(c0), "r"(c1), "r"(c2), "r"(c3)
               : "memory");
}

__device__ __forceinline__ void store_box(const TensorMap& map, u32 src, int c0, int c1, int c2, int c3, int c4) {
  asm volatile("cp.async.bulk.tensor.5d.global.shared::cta.tile.bulk_group [%0, {%2, %3, %4, %5, %6}], [%1];" ::"l"(
                   &map),
               "r"(src), "r"(c0), "r"(c1), "r"(c2), "r"(c3), "r"(c4)
               : "memory");
}

// Adds a box from shared memory to a tensor, as store_box() stores it.
__device__ __forceinline__ void add_box(const TensorMap& map, u32 src, int c0, int c1, int c2, int c3) {
  asm volatile(
      "cp.reduce.async.bulk.tensor.4d.global.shared::cta.add.tile.bulk_group [%0, {%2, %3, %4, %5}], [%1];" ::"l"(
          &map),
      "r"(src), "r"(c0), "r"(c1), "r"(c2), "r"(c3)
      : "memory");
}

// dst[:] += src[:], `bytes` of f32 in shared memory, as part of this thread's open group of copies.
__device__ __forceinline__ void reduce_add(float* dst, u32 src, int bytes) {
  asm volatile("cp.reduce.async.bulk.global.shared::cta.bulk_group.add.f32 [%0], [%1], %2;" ::"l"(dst),
               "r"(src), "r"(bytes)
               : "memory");
}
__device__ __forceinline__ void commit_bulk() {
  asm volatile("cp.async.bulk.commit_group;" ::: "memory");
}
// Waits until at most kPending of this thread's groups are unfinished, respectively have not read their
// source.
template <int kPending>
__device__ __forceinline__ void wait_bulk() {
  asm volatile("cp.async.bulk.wait_group %0;" ::"n"(kPending) : "memory");
}
template <int kPending>
__device__ __forceinline__ void wait_bulk_read() {
  asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(kPending) : "memory");
}

// Orders this thread's ordinary accesses to shared memory before asynchronous ones that others start after a
// barrier.
__device__ __forceinline__ void fence_async_proxy() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

}  // namespace device

// Warpgroup matrix multiply-accumulate (wgmma, sm_90a): operand descriptors and the order of asynchronous
// groups. Every function is executed by all 128 threads of a warpgroup. The instructions themselves have up
// to 128 operands and are written out where they are used.
//
// Operands in shared memory are tiles of 16-bit elements stored as panels: panel p holds columns [p * kPanel,
// (p + 1) * kPanel) as rows of kSwizzle = 2 * kPanel bytes, whose 16-byte chunks are permuted as the copy
// engine's swizzle of that width does. A panel starts at a multiple of 1024 bytes.

namespace device {

// The swizzle of a tile of so many columns: its panels are as wide as leaves no 16 columns unused.
__host__ __device__ constexpr int swizzle_of(int columns) {
  const int padded = round_up(columns, 16);
  return padded % 64 == 0 ? 128 : padded % 32 == 0 ? 64 : 32;
}

// A descriptor is 64 bits wide. Its high word is the same for all tiles of one width; its low word holds the
// address in units of 16 bytes and is what one adds to in order to step through a tile.
__host__ __device__ constexpr u32 descriptor_high(int swizzle) {
  return static_cast<u32>(8 * swizzle / 16) | (swizzle == 128 ? 1u : swizzle == 64 ? 2u : 3u) << 30;
}

// The low word for a tile whose rows are contiguous along the dimension that is summed over. A step of 16
// columns is 32 bytes.
__device__ __forceinline__ u32 row_descriptor(u32 address) {
  return address >> 4;
}

// The low word for a tile whose rows are the dimension that is summed over. A step of 16 rows is 16 *
// kSwizzle bytes.
template <int kPanelBytes>
__device__ __forceinline__ u32 column_descriptor(u32 address) {
  return (address >> 4) + (kPanelBytes / 16 << 16);
}

// Before the first instruction that reads registers which ordinary code has written.
__device__ __forceinline__ void wgmma_fence() {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}

// Closes the group of instructions issued since the last commit.
__device__ __forceinline__ void wgmma_commit() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}

// Waits until at most kPending groups are unfinished.
template <int kPending>
__device__ __forceinline__ void wgmma_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
}

// Keeps the compiler from moving accesses to these registers across this point: it does not know that an
// instruction in flight uses them.
template <int kCount>
__device__ __forceinline__ void pin(float (&registers)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) asm volatile("" : "+f"(registers[i])::"memory");
}
template <int kCount>
__device__ __forceinline__ void pin(u32 (&registers)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) asm volatile("" : "+r"(registers[i])::"memory");
}

// Gives registers back to, or takes them from, the multiprocessor's pool. By all warps of a warpgroup.
template <int kRegisters>
__device__ __forceinline__ void release_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kRegisters));
}
template <int kRegisters>
__device__ __forceinline__ void acquire_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kRegisters));
}

}  // namespace device

enum class Turns { none, steps, all };  // all: also for the first and the last product of a tile of queries

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
constexpr int kPackedHeads = 1;   // tile row r is query r / kPackedHeads, head r % kPackedHeads
constexpr bool kSignedScale = false;  // the scale may be less than 1e-20: zero or negative
constexpr bool kHasLse = true;
constexpr bool kBounded = false;  // a softcap keeps scores between -64 and 64
constexpr bool kShort = false;  // sequences have few queries: only a hint for the schedule

// Schedule: how it is computed. Affects speed, never the result beyond rounding.
constexpr int kBlockM = 192;            // query rows per tile, 64 for each consumer warpgroup
constexpr int kBlockN = 80;            // keys per tile
constexpr int kStages = 2;             // tiles of K and of V in shared memory
constexpr int kQueryStages = 2;  // tiles of queries: with 2 the next one is loaded early
constexpr Turns kTurns = Turns::none;      // when warpgroups issue their products in turn
constexpr bool kRescaleEarly = false;         // before the products with v, not after
constexpr bool kRescaleIfNeeded = true;  // only where a maximum has grown
constexpr int kPolynomialTiles = 0;    // of 8: exponentials without their own unit
constexpr int kStagedColumns = 0;  // of out, copied from shared memory; 0: threads write them
constexpr bool kKeysFirst = false;         // the first tile of keys is loaded before the queries

static_assert(kHeadDim % 8 == 0 && kHeadDimV % 8 == 0,
              "tiles are copied and multiplied in groups of 8 elements");
static_assert(kBlockM % 64 == 0 && kBlockM <= 192,
              "a warpgroup owns 64 rows, and registers suffice for three");
static_assert(kBlockN % 16 == 0, "probabilities are multiplied with v 16 keys at a time");
static_assert(!(kDropout || kProbabilities) || kBlockN % 32 == 0,
              "dropout draws its bytes for 32 keys at a time");
static_assert(kTurns == Turns::none || kBlockM > 64, "one warpgroup has nobody to take turns with");
static_assert(!kBounded || (kSoftcap && !kAlibi && !device::is_given<bias_scalar> && !kProbabilities),
              "only a softcap bounds scores, and probabilities are written in units of the maximum's");
static_assert(64 % kPackedHeads == 0, "a warpgroup owns whole groups of heads");

using namespace device;

constexpr int kConsumers = kBlockM / 64;
constexpr int kThreads = 128 * (1 + kConsumers);
// Looking up pages takes the producer more registers.
constexpr int kProducerRegisters = kConsumers == 3 ? 32 : kConsumers == 1 || kPaged ? 72 : 40;
constexpr int kConsumerRegisters = kConsumers == 3 ? 160 : kConsumers == 1 ? 240 : kPaged ? 216 : 232;

// Columns of out beyond 256 do not fit a warpgroup's registers: they are computed in parts, by tiles of their
// own.
constexpr int kValueParts = ceil_div(kHeadDimV, 256);
constexpr int kBlockV = 8 * ceil_div(kHeadDimV / 8, kValueParts);

constexpr int kSwizzleK = swizzle_of(kHeadDim), kSwizzleV = swizzle_of(kBlockV);
constexpr int kPanelK = kSwizzleK / 2, kPanelV = kSwizzleV / 2;
constexpr int kPanelsK = ceil_div(kHeadDim, kPanelK), kPanelsV = ceil_div(kBlockV, kPanelV);
constexpr int kDimSteps = ceil_div(kHeadDim, 16);

constexpr int kQueryBytes = 64 * kPanelsK * kSwizzleK;  // of one warpgroup
constexpr int kKeyBytes = kBlockN * kPanelsK * kSwizzleK;
constexpr int kValueBytes = kBlockN * kPanelsV * kSwizzleV;
constexpr int kStagedBytes = 16 * 2 * kStagedColumns;  // of one warp
static_assert(kStagedColumns == 0 || (kBlockV % kStagedColumns == 0 && kStagedColumns % kPanelV == 0),
              "whole panels of out are copied");

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

// In place of alibi_product_sm90.cuh where there is no ALiBi, or where it is added to scores one by one:
// because they are capped or scaled first, or because wide heads leave the product's operands no shared
// memory. Included by attention_sm90.

constexpr bool kAlibiProduct = false;
constexpr int kPlaceBytes = 0;

__device__ __forceinline__ void write_places(u32) {}

struct Shift {
  float of_row[2];
};

struct Alibi {
  __device__ __forceinline__ Alibi(const RowScores&, int, int) {}
  __device__ __forceinline__ void multiply(float (&)[kBlockN / 2], u32, int) {}
  __device__ __forceinline__ Shift shift(const RowScores&, int) const { return {}; }
  __device__ __forceinline__ void correct(float (&)[kBlockN / 2], const RowScores&, int) const {}
};

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

struct Params {
  TensorMap q, k, v, out;
  Arguments args;
  u32* counter;      // the next tile to hand out, if blocks draw their tiles
  int group;         // query heads that share a head of k and v
  int section;       // neighbouring tile columns whose tiles are visited together
  int last_section;  // the first column of the last section
  int box_rows;      // keys per copy: kBlockN, or fewer when pages are smaller
};

// Which tiles of queries a persistent block computes, and in which order. Included by an attention kernel
// after visibility.cuh: uses Params.

// A tile of queries: kBlockM rows of kPackedHeads heads, from query `query` on; columns of part `part` of
// out.
struct Work {
  int batch;  // negative: there is no more
  int head, query, part;
  TileRange tiles;
  Sequence sequence;

  // What passes through shared memory. Where all sequences are alike theirs need not; but the registers that three
  // warpgroups have suffice only if all of it is known to be the same in every lane.
  static constexpr bool kHasSequence = kVarlen || kConsumers == 3;
  static constexpr int kWords = 4 + 4 + (kHasSequence ? 5 : 0);

  __device__ __forceinline__ static Work none() {
    Work work{};
    work.batch = -1;
    return work;
  }
  // Whether every query of the tile sees every key of tile n.
  __device__ __forceinline__ bool is_whole(int n) const {
    return n < tiles.whole_end && n >= tiles.whole_first;
  }
};
static_assert(sizeof(Work) == 4 * (4 + 4 + 5), "work passes through shared memory word by word");

constexpr int kQueriesPerTile = kBlockM / kPackedHeads;
// Sequences of different lengths are looked up by a whole warp, and so are pages; otherwise one thread does
// it all.
constexpr int kProducerThreads = kVarlen || kPaged ? 32 : 1;

// Tiles of one sequence that share their queries: head blocks times parts of out.
__device__ __forceinline__ int tile_columns(const Arguments& args) {
  return args.heads / kPackedHeads * kValueParts;
}

// Tile `row_block` of one tile column: which is a head block and a part, of one sequence.
__device__ __forceinline__ Work work_at(const Params& params, const Sequence& sequence, int batch, int column,
                                        int row_block) {
  Work work;
  work.batch = batch;
  work.part = column % kValueParts;
  work.head = column / kValueParts * kPackedHeads;
  work.query = row_block * kQueriesPerTile;
  work.sequence = sequence;
  work.tiles = visible_tiles(params.args, sequence, work.query, kQueriesPerTile);
  // Queries that see nothing visit one tile of which they see nothing.
  if (work.tiles.end <= work.tiles.first) work.tiles = {0, 1, 1, 0};
  return work;
}

// Hands out tile numbers. Blocks whose tiles differ in length draw them from a counter, others go round in
// turn. By all producer threads.
class TileNumbers {
 public:
  __device__ __forceinline__ explicit TileNumbers(u32* counter) : counter_(counter), drawn_(blockIdx.x) {}

  // Starts drawing the number that the next call returns.
  __device__ __forceinline__ int next() {
    const int tile = kProducerThreads == 1 ? drawn_ : __shfl_sync(0xffffffffu, drawn_, 0);
    if (counter_ == nullptr) {
      drawn_ = tile + gridDim.x;
    } else if (threadIdx.x == 0) {
      drawn_ = gridDim.x + atomicAdd(counter_, 1u);
    }
    return tile;
  }

  // Every call of next() draws one number, and a block's last call finds no tile: tiles + grid draws in all.
  // Who made the last of them leaves the counter as it was found.
  __device__ __forceinline__ void finish(int tiles) {
    const int grid = gridDim.x;
    if (counter_ != nullptr && threadIdx.x == 0 && drawn_ == tiles + 2 * grid - 1) *counter_ = 0;
  }

 private:
  u32* counter_;
  int drawn_;
};

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

// All sequences are alike. Tile columns are visited in sections, so that the keys and values of a section
// stay in L2; of a section, the latest queries, which see most keys, come first.
class Schedule {
 public:
  __device__ __forceinline__ explicit Schedule(const Params& params)
      : params_(params), numbers_(params.counter) {}

  __device__ __forceinline__ Work next() {
    const int tile = numbers_.next();
    const int columns_per_batch = tile_columns(params_.args);
    const int columns = params_.args.batch * columns_per_batch;
    if (tile >= columns * params_.args.row_blocks) {
      numbers_.finish(columns * params_.args.row_blocks);
      return Work::none();
    }
    const auto [column, row] = tile_in_sections(tile, params_.args.row_blocks, columns, params_.section,
                                                params_.last_section);
    const int batch = column / columns_per_batch;
    return work_at(params_, sequence_of(params_.args, batch), batch, column % columns_per_batch,
                   params_.args.row_blocks - 1 - row);
  }

 private:
  const Params& params_;
  TileNumbers numbers_;
};

// What a block of attention_sm90 keeps in shared memory, and the barriers through which the producer and the
// consumers hand it over. Included by the kernel below its constants.

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

// The producer warp of attention_sm90: copies queries, keys and values of tile after tile into shared memory.
// Included by the kernel after shared_sm90.cuh.

// Keys or values of tile n. By all producer threads; waits for `empty` first.
template <int kPanels, int kSwizzle, int kBytes>
__device__ __forceinline__ void load_keys(const Params& params, const TensorMap& map, const Work& work,
                                          int kv_head, int n, int column, u32 dst, u32 empty, u32 full,
                                          u32 parity, u64 policy) {
  const int lane = threadIdx.x;
  if constexpr (kPaged) {
    // Each lane copies the rows of other pages. Rows beyond the sequence may have no page.
    const int rows = params.box_rows, rows_needed = min(kBlockN, work.sequence.seqlen_k - n * kBlockN);
    const int boxes = rows_needed > 0 ? (rows_needed + rows - 1) / rows : 0;
    const int* table = params.args.block_table + work.batch * params.args.block_table_stride[0];
    wait(empty, parity ^ 1);
    if (lane == 0) arrive_and_expect(full, boxes * rows * kPanels * kSwizzle);
    __syncwarp();
    for (int box = lane; box < boxes; box += 32) {
      const int key = n * kBlockN + box * rows;
      const int page = table[key / params.args.page_size * params.args.block_table_stride[1]];
#pragma unroll
      for (int p = 0; p < kPanels; ++p) {
        load_box(dst + (p * kBlockN + box * rows) * kSwizzle, map, full, policy, column + p * kSwizzle / 2,
                 key % params.args.page_size, kv_head, page);
      }
    }
  } else if (lane == 0) {
    wait(empty, parity ^ 1);
    arrive_and_expect(full, kBytes);
    const int batch = kVarlen && params.args.cu_seqlens_k != nullptr ? 0 : work.batch;
#pragma unroll
    for (int p = 0; p < kPanels; ++p) {
      load_box(dst + p * kBlockN * kSwizzle, map, full, policy, column + p * kSwizzle / 2,
               work.sequence.first_k + n * kBlockN, kv_head, batch);
    }
  }
}

// The queries of a tile and what the consumers have to know about it. By one thread; waits for `query_empty`.
__device__ __forceinline__ void load_queries(const Params& params, const Shared& shared, const Work& work,
                                             const Ring<kQueryStages>& queries, u64 policy) {
  const u32 full = shared.query_full(queries.stage);
  wait(shared.query_empty(queries.stage), queries.parity ^ 1);
  shared.write_work(queries.stage, work);
  if (work.batch < 0) return arrive(full);
  arrive_and_expect(full, kConsumers * kQueryBytes);
  const int batch = kVarlen && params.args.cu_seqlens_q != nullptr ? 0 : work.batch;
#pragma unroll
  for (int w = 0; w < kConsumers; ++w) {
#pragma unroll
    for (int p = 0; p < kPanelsK; ++p) {
      load_box(shared.queries(queries.stage, w) + p * 64 * kSwizzleK, params.q, full, policy, p * kPanelK, 0,
               work.sequence.first_q + work.query + w * 64 / kPackedHeads, work.head / kPackedHeads, batch);
    }
  }
}

__device__ __forceinline__ void produce(const Params& params, const Shared& shared) {
  const bool elected = threadIdx.x == 0;
  const u64 once = evict_first_policy(), often = evict_last_policy();
  Ring<kQueryStages> queries;
  Ring<kStages> tiles;
  Schedule schedule(params);
#pragma unroll 1
  while (true) {
    const Work work = schedule.next();
    if (elected && (!kKeysFirst || work.batch < 0)) load_queries(params, shared, work, queries, once);
    if (work.batch < 0) break;
    const int kv_head = work.head / params.group;
#pragma unroll 1
    for (int n = work.tiles.end - 1; n >= work.tiles.first; --n) {
      load_keys<kPanelsK, kSwizzleK, kKeyBytes>(params, params.k, work, kv_head, n, 0,
                                                shared.keys(tiles.stage), shared.key_empty(tiles.stage),
                                                shared.key_full(tiles.stage), tiles.parity, often);
      load_keys<kPanelsV, kSwizzleV, kValueBytes>(params, params.v, work, kv_head, n, work.part * kBlockV,
                                                  shared.values(tiles.stage), shared.value_empty(tiles.stage),
                                                  shared.value_full(tiles.stage), tiles.parity, often);
      tiles.advance();
      if (elected && kKeysFirst && n == work.tiles.end - 1) load_queries(params, shared, work, queries, once);
    }
    queries.advance();
  }
}

// The product of 64 rows of a warpgroup with the rows of a tile, such as scores of queries and keys. Included by an
// attention kernel below its constants: uses kBlockN, the rows of the tile. By all 128 threads of the warpgroup.

// d = a b, or d += a b if `accumulate`; a [64, 16] and b [kBlockN, 16] in shared memory.
template <int kSwizzle>
__device__ __forceinline__ void multiply_rows_step(float (&d)[kBlockN / 2], u32 a, u32 b, int accumulate) {
  asm volatile(
      "{\n"
      "  .reg .pred p;\n"
      "  .reg .b64 a, b;\n"
      "  setp.ne.b32 p, %42, 0;\n"
      "  mov.b64 a, {%40, %43};\n"
      "  mov.b64 b, {%41, %43};\n"
      "  wgmma.mma_async.sync.aligned.m64n80k16.f32.bf16.bf16 {"
      "%0, %1, %2, %3, "
      "%4, %5, %6, %7, "
      "%8, %9, %10, %11, "
      "%12, %13, %14, %15, "
      "%16, %17, %18, %19, "
      "%20, %21, %22, %23, "
      "%24, %25, %26, %27, "
      "%28, %29, %30, %31, "
      "%32, %33, %34, %35, "
      "%36, %37, %38, %39}, a, b, p, 1, 1, 0, 0;\n"
      "}"
      :
      "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]),
      "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]),
      "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]),
      "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]),
      "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]),
      "+f"(d[20]), "+f"(d[21]), "+f"(d[22]), "+f"(d[23]),
      "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]),
      "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31]),
      "+f"(d[32]), "+f"(d[33]), "+f"(d[34]), "+f"(d[35]),
      "+f"(d[36]), "+f"(d[37]), "+f"(d[38]), "+f"(d[39])
      : "r"(a), "r"(b), "r"(accumulate), "n"(descriptor_high(kSwizzle)));
}

// Issues d = a b^T with tiles in shared memory of kSteps * 16 columns, given by their row_descriptor(): 64 rows of one
// of kRowsA, and the kBlockN of another. kAdds: d += a b^T, right behind a product that has been issued into d.
template <int kSteps, int kRowsA, int kSwizzle, bool kAdds = false>
__device__ __forceinline__ void multiply_rows(float (&d)[kBlockN / 2], u32 a, u32 b) {
  if constexpr (!kAdds) {
    pin(d);
    wgmma_fence();
  }
#pragma unroll
  for (int step = 0; step < kSteps; ++step) {
    constexpr int kStepsPerPanel = kSwizzle / 32;
    const int panel = step / kStepsPerPanel, column_bytes = step % kStepsPerPanel * 32;
    multiply_rows_step<kSwizzle>(d, a + ((panel * kRowsA * kSwizzle + column_bytes) >> 4),
                                 b + ((panel * kBlockN * kSwizzle + column_bytes) >> 4), kAdds || step != 0);
  }
  wgmma_commit();
}

// The matrix products of attention_sm90: 64 query rows of a warpgroup with a tile of keys, and their
// probabilities with a tile of values. Included by the kernel below its constants and after
// product_of_rows_sm90.cuh. By all 128 threads of a warpgroup.

// d += a b; a [64, 16] in registers, b [16, kBlockV] in shared memory.
__device__ __forceinline__ void multiply_values_step(float (&d)[kBlockV / 2], const u32* a, u32 b) {
  asm volatile(
      "{\n"
      "  .reg .b64 b;\n"
      "  mov.b64 b, {%68, %69};\n"
      "  wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {"
      "%0, %1, %2, %3, "
      "%4, %5, %6, %7, "
      "%8, %9, %10, %11, "
      "%12, %13, %14, %15, "
      "%16, %17, %18, %19, "
      "%20, %21, %22, %23, "
      "%24, %25, %26, %27, "
      "%28, %29, %30, %31, "
      "%32, %33, %34, %35, "
      "%36, %37, %38, %39, "
      "%40, %41, %42, %43, "
      "%44, %45, %46, %47, "
      "%48, %49, %50, %51, "
      "%52, %53, %54, %55, "
      "%56, %57, %58, %59, "
      "%60, %61, %62, %63}, {%64, %65, %66, %67}, b, 1, 1, 1, 1;\n"
      "}"
      :
      "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]),
      "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]),
      "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]),
      "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]),
      "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]),
      "+f"(d[20]), "+f"(d[21]), "+f"(d[22]), "+f"(d[23]),
      "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]),
      "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31]),
      "+f"(d[32]), "+f"(d[33]), "+f"(d[34]), "+f"(d[35]),
      "+f"(d[36]), "+f"(d[37]), "+f"(d[38]), "+f"(d[39]),
      "+f"(d[40]), "+f"(d[41]), "+f"(d[42]), "+f"(d[43]),
      "+f"(d[44]), "+f"(d[45]), "+f"(d[46]), "+f"(d[47]),
      "+f"(d[48]), "+f"(d[49]), "+f"(d[50]), "+f"(d[51]),
      "+f"(d[52]), "+f"(d[53]), "+f"(d[54]), "+f"(d[55]),
      "+f"(d[56]), "+f"(d[57]), "+f"(d[58]), "+f"(d[59]),
      "+f"(d[60]), "+f"(d[61]), "+f"(d[62]), "+f"(d[63])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b), "n"(descriptor_high(kSwizzleV)));
}

// Issues scores = q k^T, or scores += q k^T behind ALiBi's product, for a warpgroup's 64 rows.
__device__ __forceinline__ void multiply_keys(float (&scores)[kBlockN / 2], u32 query, u32 keys) {
  multiply_rows<kDimSteps, 64, kSwizzleK, kAlibiProduct>(scores, query, keys);
}

// Issues out += p v.
__device__ __forceinline__ void multiply_values(float (&out)[kBlockV / 2], u32 (&probabilities)[kBlockN / 4],
                                                u32 values) {
  pin(out);
  pin(probabilities);
  wgmma_fence();
#pragma unroll
  for (int step = 0; step < kBlockN / 16; ++step)
    multiply_values_step(out, &probabilities[4 * step], values + ((step * 16 * kSwizzleV) >> 4));
  wgmma_commit();
}

// The accumulator's layout is that of the left operand: rounding is all there is to do.
__device__ __forceinline__ void pack(u32 (&probabilities)[kBlockN / 4], const float (&scores)[kBlockN / 2]) {
#pragma unroll
  for (int i = 0; i < kBlockN / 4; ++i)
    probabilities[i] = device::pack<scalar>(scores[2 * i], scores[2 * i + 1]);
}

// The online softmax of attention_sm90, of the two rows that a thread holds of its warp's sixteen; fragments
// are as scores.cuh describes them. Included by the kernel.

struct Softmax {
  float maximum[2];  // of the scores so far
  float sum[2];      // this thread's share of the sum of 2^(scale * (score - maximum))
  float factor[2];   // what the output has to be multiplied by since the maximum has grown
  float scale;       // to powers of two

  __device__ __forceinline__ explicit Softmax(const Arguments& args) : scale(softmax_scale(args)) {}

  // `shift` is what scores lack where ALiBi is a product.
  __device__ __forceinline__ void first(float (&scores)[kBlockN / 2], Shift shift) {
    update<true>(scores, shift);
  }
  __device__ __forceinline__ void next(float (&scores)[kBlockN / 2], Shift shift) {
    update<false>(scores, shift);
  }

  // Turns scores into probabilities, not yet normalised. Maxima and sums run in independent chains, which
  // hides their latency. Where scores are bounded, the first tile's maxima serve for all.
  template <bool kFirst>
  __device__ __forceinline__ void update(float (&scores)[kBlockN / 2], Shift shift) {
    constexpr bool kRaises = kFirst || !kBounded;
    float offset[2];
    if constexpr (kRaises) {
      raise<kFirst>(scores, shift, offset);
    } else {
#pragma unroll
      for (int r = 0; r < 2; ++r) offset[r] = -maximum[r] * scale;
    }
    float added[4] = {};
#pragma unroll
    for (int j = 0; j < kBlockN / 8; ++j) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        float& x = scores[4 * j + i];
        x = fmaf(x, scale, offset[i / 2]);
        x = j % 8 < kPolynomialTiles ? exp2_polynomial(x) : exp2_approx(x);
        added[i] += x;
      }
    }
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const float tile = added[2 * r] + added[2 * r + 1];
      sum[r] = kFirst ? tile : kRaises ? fmaf(sum[r], factor[r], tile) : sum[r] + tile;
    }
  }

  // Raises the maxima to those of the scores; offset = shift - maximum in powers of two.
  template <bool kFirst>
  __device__ __forceinline__ void raise(const float (&scores)[kBlockN / 2], Shift shift, float (&offset)[2]) {
    float raised[4];
#pragma unroll
    for (int i = 0; i < 4; ++i)
      raised[i] = kFirst || kAlibiProduct ? scores[i] : fmaxf(scores[i], maximum[i / 2]);
#pragma unroll
    for (int j = 1; j < kBlockN / 8; ++j) {
#pragma unroll
      for (int i = 0; i < 4; ++i) raised[i] = fmaxf(raised[i], scores[4 * j + i]);
    }
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      float row = quad_max(fmaxf(raised[2 * r], raised[2 * r + 1]));
      if constexpr (kAlibiProduct) {
        row += shift.of_row[r];
        if constexpr (!kFirst) row = fmaxf(row, maximum[r]);
      }
      // Scores lie between -1 and 1: those to come become at most 2^100, whose sums with values are finite.
      if constexpr (kBounded) row = fmaxf(row, fmaxf(1.0f - __fdividef(100.0f, scale), -1.0f));
      const float finite = row == negative_infinity() ? 0.0f : row;
      factor[r] = kFirst ? 1.0f : exp2_approx((maximum[r] - finite) * scale);
      maximum[r] = row;
      offset[r] = (kAlibiProduct ? shift.of_row[r] - finite : -finite) * scale;
    }
  }

  // Multiplies the output by what has become of the sums under the old maxima.
  __device__ __forceinline__ void rescale(float (&out)[kBlockV / 2]) const {
    if constexpr (kBounded) return;
    if (kRescaleIfNeeded && !__any_sync(0xffffffffu, factor[0] != 1.0f || factor[1] != 1.0f)) return;
#pragma unroll
    for (int i = 0; i < kBlockV / 8; ++i) {
      out[4 * i] *= factor[0];
      out[4 * i + 1] *= factor[0];
      out[4 * i + 2] *= factor[1];
      out[4 * i + 3] *= factor[1];
    }
  }

  // Sums over the rows; factor becomes what normalises the output.
  __device__ __forceinline__ void finish(const Arguments& args, const RowScores& rows) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      sum[r] = quad_sum(sum[r]);
      maximum[r] *= scale;
      factor[r] = 1.0f;
      if constexpr (kSinks) {
        const float sink = args.sinks[rows.row[r].head * args.sink_stride] * kLog2E;
        const float raised = fmaxf(maximum[r], sink);
        factor[r] = exp2_approx(maximum[r] - raised);
        sum[r] = fmaf(sum[r], factor[r], exp2_approx(sink - raised));
        maximum[r] = raised;
      }
      if constexpr (kDropout) factor[r] *= args.keep_scale;
      factor[r] = sum[r] == 0.0f ? 0.0f : factor[r] / sum[r];
    }
  }

  // After finish().
  __device__ __forceinline__ float lse(int r, const Arguments& args) const {
    return sum[r] == 0.0f ? args.empty_lse : (maximum[r] + log2_approx(sum[r])) * kLn2;
  }
};

// What attention_sm90 does at the ends of its rows and its tiles, whichever way out is written. Included by the kernel.

// Rows `valid` to kBlockN of a tile of values become zeros: 0 times what lies beyond a sequence may be NaN.
// Every warpgroup clears for itself, so that it need not wait for others.
__device__ __forceinline__ void clear_rows(u32 values, int valid, int warpgroup) {
  const int chunks = (kBlockN - max(valid, 0)) * (kSwizzleV / 16);
#pragma unroll 1
  for (int p = 0; p < kPanelsV; ++p) {
    const u32 first = values + (p * kBlockN + max(valid, 0)) * kSwizzleV;
    for (int i = threadIdx.x % 128; i < chunks; i += 128) clear_shared(first + 16 * i);
  }
  fence_async_proxy();
  named_sync(kGroupBarrier + warpgroup, 128);
}

// How a row of out is stored: the address of its first column that a tile computes, and how many there are from there.
__device__ __forceinline__ scalar* address_of_out(const Arguments& args, int batch, const Sequence& sequence,
                                                  const Row& row, int first_column) {
  return args.out + batch * args.out_stride[0] + (i64{sequence.first_q} + row.query) * args.out_stride[1] +
         row.head * args.out_stride[2] + first_column;
}
__device__ __forceinline__ int columns_of_out(int first_column) {
  return kHeadDimV % kBlockV == 0 ? kBlockV : kHeadDimV - first_column;
}
constexpr bool kStreamsOut = kBlockV > 64;  // measured: narrower rows take longer so

// A lane's elements of row r of its two, normalised and rounded.
__device__ __forceinline__ void pack_row(u32 (&words)[kBlockV / 8], const float (&out)[kBlockV / 2], float factor,
                                         int r) {
#pragma unroll
  for (int tile = 0; tile < kBlockV / 8; ++tile)
    words[tile] = device::pack<scalar>(out[4 * tile + 2 * r] * factor, out[4 * tile + 2 * r + 1] * factor);
}

__device__ __forceinline__ void write_lse(const Arguments& args, int batch, const Sequence& sequence, const Row& row,
                                          float lse) {
  if (threadIdx.x % 4 == 0 && row.query < sequence.seqlen_q)
    args.lse[batch * args.lse_stride[0] + row.head * args.lse_stride[1] +
             (i64{sequence.first_q} + row.query) * args.lse_stride[2]] = lse;
}

// The output of attention_sm90 as threads write it from their registers. Included by the kernel.

// Rows that four neighbouring lanes share, as the multiplications leave them. Included by an attention
// kernel.

// Lane q of each four neighbours gives word p to lane p and takes word q of each: rows become columns. By all
// lanes.
__device__ __forceinline__ void transpose_quad(u32 (&word)[4]) {
#pragma unroll
  for (int step = 1; step < 4; step *= 2) {
    const bool upper = threadIdx.x & step;
#pragma unroll
    for (int low = 0; low < 4; ++low) {
      if (low & step) continue;
      u32 &a = word[low], &b = word[low + step];
      const u32 received = __shfl_xor_sync(0xffffffffu, upper ? a : b, step);
      (upper ? a : b) = received;
    }
  }
}

template <bool kStreams, class T>
__device__ __forceinline__ void store_part(scalar* dst, const T& part) {
  T* const whole = reinterpret_cast<T*>(dst);
  if constexpr (kStreams) {
    __stcs(whole, part);
  } else {
    *whole = part;
  }
}

// dst[0, kTiles * 8) = one row of which each lane of four holds two neighbouring elements in every tile of 8
// columns; columns from `end` on, a multiple of 8, are not written. Each lane takes eight neighbouring
// columns of every 32, so that whole sectors are written. By all lanes; those whose `is_row` is false write
// nothing. kStreams: L2 keeps other data rather than what is written.
template <bool kStreams = false, int kTiles>
__device__ __forceinline__ void store_quad_row(scalar* dst, const u32 (&words)[kTiles], int end,
                                               bool is_row) {
  const int quad = threadIdx.x % 4;
#pragma unroll
  for (int tile = 0; tile + 4 <= kTiles; tile += 4) {
    u32 word[4] = {words[tile], words[tile + 1], words[tile + 2], words[tile + 3]};
    transpose_quad(word);
    const int column = 8 * (tile + quad);
    if (is_row && column < end)
      store_part<kStreams>(dst + column, uint4{word[0], word[1], word[2], word[3]});
  }
#pragma unroll
  for (int tile = kTiles / 4 * 4; tile < kTiles; ++tile) {
    const int column = 8 * tile + 2 * quad;
    if (is_row && column < end) store_part<kStreams>(dst + column, words[tile]);
  }
}

// A warpgroup's rows of a tile that is complete, normalised and rounded: they are written while the queries of
// the next one are being loaded. Until there is one, nothing.
class Output {
 public:
  __device__ __forceinline__ void take(const Params& params, u32, const Work& work, const RowScores& rows,
                                       const Softmax& softmax, const float (&out)[kBlockV / 2]) {
    batch_ = work.batch;
    part_ = work.part;
    sequence_ = work.sequence;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      row_[r] = rows.row[r];
      if constexpr (kHasLse) lse_[r] = softmax.lse(r, params.args);
      pack_row(out_[r], out, softmax.factor[r], r);
    }
  }

  __device__ __forceinline__ void write_pending(const Params& params) {
    const Arguments& args = params.args;
    const int first_column = part_ * kBlockV;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      if (kHasLse && part_ == 0) write_lse(args, batch_, sequence_, row_[r], lse_[r]);
      store_quad_row<kStreamsOut>(address_of_out(args, batch_, sequence_, row_[r], first_column), out_[r],
                                  columns_of_out(first_column), row_[r].query < sequence_.seqlen_q);
    }
  }

  __device__ __forceinline__ void finish() {}

 private:
  int batch_ = 0, part_ = 0;
  Sequence sequence_ = {};  // of no queries: nothing is written
  Row row_[2] = {};
  float lse_[2] = {};
  u32 out_[2][kBlockV / 8] = {};
};

// Scores and output of one warpgroup, tile of queries by tile of queries.
__device__ __forceinline__ void consume(const Params& params, const Shared& shared, int warpgroup) {
  const Arguments& args = params.args;
  const bool elected = threadIdx.x % 128 == 0;
  const auto take_turn = [&](bool needed) {
    if (needed) named_sync(kTurnBarrier + warpgroup, 256);
  };
  const auto give_turn = [&](bool needed) {
    if (needed) named_arrive(kTurnBarrier + (warpgroup + 1) % kConsumers, 256);
  };
  constexpr bool kStepTurns = kTurns != Turns::none, kEndTurns = kTurns == Turns::all;
  if (warpgroup == kConsumers - 1) give_turn(kStepTurns);  // the first turn is warpgroup 0's

  const auto keys = [&](int stage) { return row_descriptor(shared.keys(stage)); };
  const auto values = [&](int stage) { return column_descriptor<kBlockN * kSwizzleV>(shared.values(stage)); };

  Output output;
  Ring<kQueryStages> queries;
  Ring<kStages> tiles;
#pragma unroll 1
  while (true) {
    output.write_pending(params);
    wait(shared.query_full(queries.stage), queries.parity);
    const Work work = shared.read_work(args, queries.stage);
    if (work.batch < 0) break;

    const u32 query = row_descriptor(shared.queries(queries.stage, warpgroup));
    const int row =
        work.query * kPackedHeads + warpgroup * 64 + threadIdx.x % 128 / 32 * 16;  // the warp's first
    const RowScores row_state = row_scores(args, work.sequence, work.batch, work.head, row);
    Softmax softmax(args);
    Alibi alibi(row_state, work.query + warpgroup * 64 / kPackedHeads, work.sequence.shift);
    const auto multiply = [&](float(&scores)[kBlockN / 2], int n) {
      alibi.multiply(scores, shared.places(), n * kBlockN);
      multiply_keys(scores, query, keys(tiles.stage));
    };
    // From products to what softmax works on.
    const auto modify = [&](float(&scores)[kBlockN / 2], int n, bool may_be_masked) {
      score<kAlibi && !kAlibiProduct>(scores, args, row_state, n * kBlockN);
      alibi.correct(scores, row_state, n * kBlockN);
      if (may_be_masked && !work.is_whole(n)) mask(scores, row_state, n * kBlockN);
    };
    // From what softmax leaves to what is multiplied with v.
    const FragmentPlace place{work.batch, work.head, row};
    const auto finish = [&](u32(&probabilities)[kBlockN / 4], float(&scores)[kBlockN / 2], int n) {
      if constexpr (kProbabilities) apply_dropout(scores, args, work.sequence, place, n * kBlockN);
      pack(probabilities, scores);
      if constexpr (kDropout && !kProbabilities) drop_packed(probabilities, args, place, n * kBlockN);
    };
    float out[kBlockV / 2] = {};
    u32 probabilities[kBlockN / 4];
    int n = work.tiles.end - 1;
    {
      float scores[kBlockN / 2];
      wait(shared.key_full(tiles.stage), tiles.parity);
      take_turn(kEndTurns);
      multiply(scores, n);
      give_turn(kEndTurns);
      wgmma_wait<0>();
      pin(scores);
      if (elected) arrive(shared.key_empty(tiles.stage));
      modify(scores, n, true);
      softmax.first(scores, alibi.shift(row_state, n * kBlockN));
      finish(probabilities, scores, n);
    }
    if ((kVarlen || kPaged) && work.sequence.seqlen_k < (n + 1) * kBlockN) {
      wait(shared.value_full(tiles.stage), tiles.parity);
      clear_rows(shared.values(tiles.stage), work.sequence.seqlen_k - n * kBlockN, warpgroup);
    }

#pragma unroll 1
    for (--n; n >= work.tiles.first; --n) {
      const Ring<kStages> before = tiles;
      tiles.advance();
      float scores[kBlockN / 2];
      wait(shared.key_full(tiles.stage), tiles.parity);
      take_turn(kStepTurns);
      multiply(scores, n);
      if constexpr (kRescaleEarly) softmax.rescale(out);
      wait(shared.value_full(before.stage), before.parity);
      multiply_values(out, probabilities, values(before.stage));
      give_turn(kStepTurns);
      wgmma_wait<1>();
      pin(scores);
      if (elected) arrive(shared.key_empty(tiles.stage));
      modify(scores, n, !kSeesAll);
      softmax.next(scores, alibi.shift(row_state, n * kBlockN));
      wgmma_wait<0>();
      pin(out);
      pin(probabilities);
      if (elected) arrive(shared.value_empty(before.stage));
      finish(probabilities, scores, n);
      if constexpr (!kRescaleEarly) softmax.rescale(out);
    }
    if (elected) arrive(shared.query_empty(queries.stage));
    queries.advance();
    if constexpr (kRescaleEarly) softmax.rescale(out);
    wait(shared.value_full(tiles.stage), tiles.parity);
    take_turn(kEndTurns);
    multiply_values(out, probabilities, values(tiles.stage));
    give_turn(kEndTurns);
    softmax.finish(args, row_state);
    wgmma_wait<0>();
    pin(out);
    if (elected) arrive(shared.value_empty(tiles.stage));
    tiles.advance();

    output.take(params, shared.staged(), work, row_state, softmax, out);
  }
  output.finish();
}

extern "C" __global__ void __launch_bounds__(kThreads, 1)
    attention_sm90(const __grid_constant__ Params params) {
  extern __shared__ __align__(1024) unsigned char dynamic_shared[];
  const Shared shared(dynamic_shared);
  // Known to be the same in all lanes of a warp, so that branches on it are uniform.
  const int warpgroup = __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x / 128), 0);
  if (threadIdx.x == 0) shared.init_barriers();
  write_places(shared.places());
  __syncthreads();
  if (warpgroup == 0) {
    release_registers<kProducerRegisters>();
    if (threadIdx.x < kProducerThreads) produce(params, shared);
  } else {
    acquire_registers<kConsumerRegisters>();
    consume(params, shared, warpgroup - 1);
  }
}
