// y[t, h, :] = x[t, h, :] with the first kRotaryDim channels rotated in pairs, as sprue/ops/rope.h describes
// it (Rope).
//
//   x, y      [tokens, heads, kHeadDim]    scalar; two pairs of them, with heads of their own; y may be x
//   cos, sin  [positions, kRotaryDim / 2]  table_scalar, contiguous rows
//
// kLanes neighbouring threads share a row: each has vectors of the first halves of pairs and of their second
// halves. All arithmetic is f32. Su et al. 2021, arXiv:2104.09864.

//% include "device/types.cuh"
//% include "device/vector.cuh"
//% include "device/reduce.cuh"

// Problem: what is computed. Set by the caller.
using scalar = device::${SCALAR};
using table_scalar = device::${TABLE};
constexpr int kHeadDim = ${HEAD_DIM};
constexpr int kRotaryDim = ${ROTARY_DIM};
constexpr bool kInterleaved = ${INTERLEAVED};
constexpr bool kConjugate = ${CONJUGATE};
constexpr bool kVarlen = ${VARLEN};  // tokens of all sequences are packed
constexpr bool kNorm = ${NORM};      // rows are normalised first
constexpr int kVec = ${VEC};  // elements, of which every address, stride and extent of a row is a multiple

// Schedule: how it is computed. Affects speed, never the result beyond rounding.
constexpr int kLanes = ${LANES};
constexpr int kRowsPerBlock = ${ROWS_PER_BLOCK};

static_assert(kRotaryDim % 2 == 0 && kRotaryDim <= kHeadDim, "channels are rotated in pairs");
static_assert(kRotaryDim / 2 % kVec == 0 && kHeadDim % kVec == 0, "halves of pairs are whole vectors");
static_assert(kLanes <= 32 && (kLanes & (kLanes - 1)) == 0, "the lanes of a row belong to one warp");

using namespace device;

constexpr int kThreads = kLanes * kRowsPerBlock;
constexpr int kPairs = kRotaryDim / 2 / kVec;  // of vectors
constexpr int kPairsPerLane = ceil_div(kPairs, kLanes);
constexpr int kRest = (kHeadDim - kRotaryDim) / kVec;  // vectors that are not rotated
constexpr int kRestPerLane = ceil_div(kRest, kLanes);

struct Rotated {
  scalar* y;
  const scalar* x;
  const table_scalar *cos, *sin;
  const scalar* norm_weight;
  i64 y_stride[3], x_stride[3];  // batch, sequence, head
  i64 cos_stride, sin_stride;    // position
  int heads;
};

struct Params {
  Rotated tensors[2];
  const int *offsets, *cu_seqlens;
  i64 offset, rows;
  int batch, seqlen, positions;
  float norm_eps;
};

struct Values {
  float at[kVec];
};
template <class T>
__device__ __forceinline__ Values load_values(const T* src) {
  Values values;
  if constexpr (sizeof(T) * kVec <= 16) {
    const Vec<T, kVec> vector = load<T, kVec>(src);
#pragma unroll
    for (int e = 0; e < kVec; ++e) values.at[e] = element(vector, e);
  } else {  // f32 beside a narrower type
    const Vec<T, kVec / 2> low = load<T, kVec / 2>(src), high = load<T, kVec / 2>(src + kVec / 2);
#pragma unroll
    for (int e = 0; e < kVec; ++e) values.at[e] = e < kVec / 2 ? element(low, e) : element(high, e - kVec / 2);
  }
  return values;
}
__device__ __forceinline__ void store_values(scalar* dst, const Values& values) {
  Vec<scalar, kVec> vector;
#pragma unroll
  for (int e = 0; e < kVec; ++e) vector.at[e] = from_f32<scalar>(values.at[e]);
  store(dst, vector);
}

// Two vectors of channels that are rotated with each other.
struct PairOfVectors {
  Values a, b;

  // Whether interleaved or not, 2 * kVec channels; element e of the first halves is at(0, e), of the second
  // at(1, e).
  __device__ __forceinline__ float& at(int half, int e) {
    const int i = kInterleaved ? 2 * e + half : half * kVec + e;
    return i < kVec ? a.at[i] : b.at[i - kVec];
  }
};

// The first column of the two vectors of pair n.
__device__ __forceinline__ int first_column(int n) {
  return kInterleaved ? 2 * n * kVec : n * kVec;
}
constexpr int kDistance = kInterleaved ? kVec : kRotaryDim / 2;

// The sequence that a packed token belongs to: the last one that starts at or before it.
__device__ __forceinline__ int sequence_of(const int* cu_seqlens, int batch, int token) {
  int first = 0, end = batch;
  while (end - first > 1) {
    const int middle = (first + end) / 2;
    if (cu_seqlens[middle] <= token) {
      first = middle;
    } else {
      end = middle;
    }
  }
  return first;
}

__device__ __forceinline__ void scale(Values& values, float factor, const scalar* weight) {
  const Values w = load_values(weight);
#pragma unroll
  for (int e = 0; e < kVec; ++e) values.at[e] *= factor * w.at[e];
}

extern "C" __global__ void __launch_bounds__(kThreads) rope(const __grid_constant__ Params params) {
  const i64 row = static_cast<i64>(blockIdx.x) * kRowsPerBlock + threadIdx.x / kLanes;
  const bool active = row < params.rows;
  const int lane = threadIdx.x % kLanes;
  const int heads = params.tensors[0].heads + params.tensors[1].heads;
  const i64 token = active ? row / heads : 0;
  int head = active ? static_cast<int>(row - token * heads) : 0;
  const bool second = head >= params.tensors[0].heads;
  if (second) head -= params.tensors[0].heads;
  const Rotated& tensor = params.tensors[second];

  int batch, i;
  i64 position = params.offset, place;
  if constexpr (kVarlen) {
    batch = sequence_of(params.cu_seqlens, params.batch, static_cast<int>(token));
    i = static_cast<int>(token) - params.cu_seqlens[batch];
    place = token;
  } else {
    batch = static_cast<int>(token / params.seqlen);
    i = static_cast<int>(token - static_cast<i64>(batch) * params.seqlen);
    place = i;
  }
  position += i;
  if (params.offsets != nullptr && active) position += params.offsets[batch];
  const bool rotates = position >= 0 && position < params.positions;
  const i64 stored_batch = kVarlen ? 0 : batch;
  const scalar* const x =
      tensor.x + stored_batch * tensor.x_stride[0] + place * tensor.x_stride[1] + head * tensor.x_stride[2];
  scalar* const y =
      tensor.y + stored_batch * tensor.y_stride[0] + place * tensor.y_stride[1] + head * tensor.y_stride[2];

  PairOfVectors pairs[kPairsPerLane];
  Values rest[kRestPerLane > 0 ? kRestPerLane : 1];
  const auto has_pair = [&](int n) { return active && n * kLanes + lane < kPairs; };
  const auto has_rest = [&](int n) { return active && n * kLanes + lane < kRest; };
  const auto rest_column = [&](int n) { return kRotaryDim + (n * kLanes + lane) * kVec; };
  float squares = 0.0f;
#pragma unroll
  for (int n = 0; n < kPairsPerLane; ++n) {
    if (!has_pair(n)) continue;
    const int column = first_column(n * kLanes + lane);
    pairs[n] = {load_values(x + column), load_values(x + column + kDistance)};
#pragma unroll
    for (int e = 0; e < kVec; ++e)
      squares += pairs[n].a.at[e] * pairs[n].a.at[e] + pairs[n].b.at[e] * pairs[n].b.at[e];
  }
#pragma unroll
  for (int n = 0; n < kRestPerLane; ++n) {
    if (!has_rest(n)) continue;
    rest[n] = load_values(x + rest_column(n));
#pragma unroll
    for (int e = 0; e < kVec; ++e) squares += rest[n].at[e] * rest[n].at[e];
  }
  float factor = 1.0f;
  if constexpr (kNorm) factor = rsqrtf(lane_sum<kLanes>(squares) * (1.0f / kHeadDim) + params.norm_eps);

#pragma unroll
  for (int n = 0; n < kPairsPerLane; ++n) {
    if (!has_pair(n)) continue;
    const int index = n * kLanes + lane, column = first_column(index);
    PairOfVectors& pair = pairs[n];
    if constexpr (kNorm) {
      scale(pair.a, factor, tensor.norm_weight + column);
      scale(pair.b, factor, tensor.norm_weight + column + kDistance);
    }
    if (rotates) {
      const Values c = load_values(tensor.cos + position * tensor.cos_stride + index * kVec);
      const Values s = load_values(tensor.sin + position * tensor.sin_stride + index * kVec);
#pragma unroll
      for (int e = 0; e < kVec; ++e) {
        const float sine = kConjugate ? -s.at[e] : s.at[e], first = pair.at(0, e), other = pair.at(1, e);
        pair.at(0, e) = first * c.at[e] - other * sine;
        pair.at(1, e) = first * sine + other * c.at[e];
      }
    }
    store_values(y + column, pair.a);
    store_values(y + column + kDistance, pair.b);
  }
#pragma unroll
  for (int n = 0; n < kRestPerLane; ++n) {
    if (!has_rest(n)) continue;
    if constexpr (kNorm) scale(rest[n], factor, tensor.norm_weight + rest_column(n));
    store_values(y + rest_column(n), rest[n]);
  }
}
