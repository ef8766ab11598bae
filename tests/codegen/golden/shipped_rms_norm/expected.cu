// Rendered by Sprue: rms_norm ALIGNMENT=16 HAS_WEIGHT=true HIDDEN=4096 ROW_DIMS=1 SCALAR=bf16 | ROWS_PER_BLOCK=1 THREADS_PER_ROW=256

// y[r, :] = x[r, :] / sqrt(mean(x[r, :]^2) + eps) * weight
//
//   x, y    [rows..., kHidden]  scalar, any row strides, last one 1; y may be x
//   weight  [kHidden]           scalar; not read unless kHasWeight
//
// Sums are f32. Zhang & Sennrich 2019, arXiv:1910.07467.
//
// kThreadsPerRow neighbouring threads share a row, which stays in their registers. Longer rows are norm_forward's.

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

// Problem: what is computed. Set by the caller.
using scalar = device::bf16;
constexpr int kHidden = 4096;
constexpr bool kHasWeight = true;
constexpr int kAlignment = 16;  // bytes that divide every address and row stride
constexpr int kRowDims = 1;     // dimensions in front of the last one

// Schedule: how it is computed. Affects speed, never the result beyond rounding.
constexpr int kThreadsPerRow = 256;
constexpr int kRowsPerBlock = 1;

static_assert((kThreadsPerRow & (kThreadsPerRow - 1)) == 0, "rows are reduced by halving");
static_assert(kAlignment % sizeof(scalar) == 0, "elements are aligned to their own size");

using namespace device;

constexpr int kThreads = kThreadsPerRow * kRowsPerBlock;
constexpr int kWarpsPerRow = ceil_div(kThreadsPerRow, 32);

__host__ __device__ constexpr int widest_vector(int bytes) {
  return kHidden % (bytes / int{sizeof(scalar)}) == 0 ? bytes / int{sizeof(scalar)}
                                                      : widest_vector(bytes / 2);
}
constexpr int kVec = widest_vector(kAlignment);
constexpr int kVecs = kHidden / kVec;  // vectors in a row
constexpr int kVecsPerThread = ceil_div(kVecs, kThreadsPerRow);

struct Params {
  scalar* y;
  const scalar *x, *weight;
  i64 rows;
  i64 extent[5], x_stride[5], y_stride[5];  // of the first kRowDims, outermost first
  float eps;
};

__device__ __forceinline__ float sum_of_squares(const Vec<scalar, kVec>& v) {
  float sum = 0.0f;
#pragma unroll
  for (int i = 0; i < kVec; ++i) sum = fmaf(element(v, i), element(v, i), sum);
  return sum;
}

__device__ __forceinline__ Vec<scalar, kVec> scaled(const Vec<scalar, kVec>& x, float factor,
                                                    const scalar* weight) {
  Vec<scalar, kVec> y, w;
  if constexpr (kHasWeight) w = load<scalar, kVec>(weight);
#pragma unroll
  for (int i = 0; i < kVec; ++i)
    y.at[i] = from_f32<scalar>(element(x, i) * factor * (kHasWeight ? element(w, i) : 1.0f));
  return y;
}

// The sum of `x` over the threads of a row, in each of them and in a fixed order. By all threads of the
// block.
__device__ __forceinline__ float row_sum(float x) {
  x = lane_sum<(kThreadsPerRow < 32 ? kThreadsPerRow : 32)>(x);
  if constexpr (kWarpsPerRow > 1) {
    __shared__ float partial[kThreads / 32];
    const int warp = threadIdx.x / 32;
    if (threadIdx.x % 32 == 0) partial[warp] = x;
    __syncthreads();
    x = 0.0f;
#pragma unroll
    for (int i = 0; i < kWarpsPerRow; ++i) x += partial[warp / kWarpsPerRow * kWarpsPerRow + i];
  }
  return x;
}

extern "C" __global__ void __launch_bounds__(kThreads)
    rms_norm(const __grid_constant__ Params params) {
  const i64 row = static_cast<i64>(blockIdx.x) * kRowsPerBlock + threadIdx.x / kThreadsPerRow;
  const bool active = kRowsPerBlock == 1 || row < params.rows;
  const int lane = threadIdx.x % kThreadsPerRow;

  i64 x_offset = 0, y_offset = 0, rest = row;
#pragma unroll
  for (int d = kRowDims - 1; d >= 0; --d) {
    const i64 index = d == 0 ? rest : rest % params.extent[d];
    if (d != 0) rest /= params.extent[d];
    x_offset += index * params.x_stride[d];
    y_offset += index * params.y_stride[d];
  }
  const scalar* const x = params.x + x_offset;
  scalar* const y = params.y + y_offset;

  // Whether this thread has an i-th vector; known at compile time but for a ragged last one.
  const auto has = [&](int i) { return active && ((i + 1) * kThreadsPerRow <= kVecs || i * kThreadsPerRow + lane < kVecs); };
  const auto column = [&](int i) { return (i * kThreadsPerRow + lane) * kVec; };

  Vec<scalar, kVec> values[kVecsPerThread];
#pragma unroll
  for (int i = 0; i < kVecsPerThread; ++i) {
    if (has(i)) values[i] = load<scalar, kVec>(x + column(i));
  }
  float sum = 0.0f;
#pragma unroll
  for (int i = 0; i < kVecsPerThread; ++i) {
    if (has(i)) sum += sum_of_squares(values[i]);
  }
  const float factor = rsqrtf(row_sum(sum) * (1.0f / kHidden) + params.eps);
#pragma unroll
  for (int i = 0; i < kVecsPerThread; ++i) {
    if (has(i)) store(y + column(i), scaled(values[i], factor, params.weight + column(i)));
  }
}
