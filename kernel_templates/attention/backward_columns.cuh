// Probabilities and gradients of scores where the rows of a fragment are keys and its columns queries.
// Included by attention_backward_keys after dropout.cuh: uses scalar, the features' flags, kBlockM and
// kScoresAtOnce.
//
// s[4 * j + 2 * r + c] is key lane / 4 + 8 * r of 16, query 8 * j + 2 * (lane % 4) + c of the tile.
#pragma once

// Whether dropped probabilities have a negative sign. With kDropMasks others know which are dropped.
constexpr bool kMarksDropped = kDropout && !kDropMasks;

// A warp's 16 keys and a tile of queries.
struct ColumnPlace {
  int batch, head;
  int query;  // the first, a multiple of kBlockM
  int key;    // the warp's first, a multiple of 16
  u32 bias;   // with kBiasTiles: a lane's address of the first 16 queries' in shared memory
};

// The visible keys, ALiBi and bias of one query.
struct Column {
  int position;
  KeyRange keys;
  const bias_scalar* bias;
};

__device__ __forceinline__ Column column_of(const Arguments& args, const Sequence& sequence,
                                            const ColumnPlace& place, int query) {
  Column column;
  column.position = query + sequence.shift;
  column.keys = visible_keys(args, sequence, query);
  if constexpr (kBias && !kBiasTiles) {
    column.bias = static_cast<const bias_scalar*>(args.bias) + place.batch * args.bias_stride[0] +
                  place.head * args.bias_stride[1] + min(query, sequence.seqlen_q - 1) * args.bias_stride[2];
  }
  return column;
}

template <class T>
__device__ __forceinline__ float bias_of(const T* bias, int key) {
  return device::to_f32(bias[key]);
}

// {lse, delta, lse, delta} of a lane's two queries among the j-th eight. `stats`, in shared memory, is 16-byte aligned.
__device__ __forceinline__ float4 stats_pair(const RowStats* stats, int j) {
  return *reinterpret_cast<const float4*>(stats + 8 * j + threadIdx.x % 4 * 2);
}

// body(x, column, key) for every element x of a lane.
template <int N, class Body>
__device__ __forceinline__ void for_each_score(float (&s)[N], const Arguments& args, const Sequence& sequence,
                                               const ColumnPlace& place, const Body& body) {
  const int lane = threadIdx.x % 32, query = place.query + lane % 4 * 2, key = place.key + lane / 4;
#pragma unroll
  for (int j = 0; j < N / 4; ++j) {
#pragma unroll
    for (int c = 0; c < 2; ++c) {
      const Column column = column_of(args, sequence, place, query + 8 * j + c);
      body(s[4 * j + c], column, key);
      body(s[4 * j + 2 + c], column, key + 8);
    }
  }
}

// Turns k . q, after cap(), into probabilities. `stats` is a lane's address of the queries' statistics in shared memory.
template <int N>
__device__ __forceinline__ void exponentiate(float (&s)[N], const Arguments& args, const Sequence& sequence,
                                             const ColumnPlace& place, const RowStats* stats, bool whole) {
  const float scale = softmax_scale(args), factor = kLog2E / scale;
  const float slope =
      kAlibi
          ? args.alibi_slopes[place.batch * args.slope_stride[0] + place.head * args.slope_stride[1]] * factor
          : 0.0f;
  if constexpr (kAlibi || kBias) {
    for_each_score(s, args, sequence, place, [&](float& x, const Column& column, int key) {
      if constexpr (kAlibi) x = fmaf(-slope, fabsf(static_cast<float>(column.position - key)), x);
      if constexpr (kBias && !kBiasTiles) {
        if (key < sequence.seqlen_k) x = fmaf(bias_of(column.bias, key), factor, x);
      }
    });
  }
  if constexpr (kBiasTiles) add_bias_columns(s, place.bias, factor);
  if (!whole) {
    for_each_score(s, args, sequence, place, [&](float& x, const Column& column, int key) {
      if (key < column.keys.first || key >= column.keys.end) x = device::negative_infinity();
    });
  }
#pragma unroll
  for (int j = 0; j < N / 4; ++j) {
    const float4 pair = stats_pair(stats, j);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      float& x = s[4 * j + i];
      x = device::exp2_approx(fmaf(x, scale, -(i % 2 == 0 ? pair.x : pair.z)));
    }
  }
}

// Gives dropped probabilities a negative sign. The pattern belongs to fragments whose rows are queries
// (dropout.cuh): the bytes of one lane there are those of 8 keys and 2 queries here, which other lanes hold.
template <int N>
__device__ __forceinline__ void mark_dropped(float (&p)[N], const Arguments& args, const ColumnPlace& place) {
  const int lane = threadIdx.x % 32;
  const bool second_half = place.key % 32 != 0;
#pragma unroll
  for (int j = 0; j < N / 4; j += 2) {
    const uint4 bytes = dropout_bytes(args, {place.batch, place.head, place.query + 8 * j}, place.key);
    const u32 words[2] = {second_half ? bytes.z : bytes.x,
                          second_half ? bytes.w : bytes.y};  // of 8 keys each
#pragma unroll
    for (int r = 0; r < 2; ++r) {
#pragma unroll
      for (int c = 0; c < 2; ++c) {
        const int owner = (lane % 4 * 2 + c) * 4 + lane / 8;  // row: the query % 8; columns: the key % 8
        const u32 word = __shfl_sync(0xffffffffu, words[r], owner) >> (lane / 4 % 2 * 8);
#pragma unroll
        for (int half = 0; half < 2; ++half) {  // queries 8 to 15 are the lane's second row there
          float& x = p[4 * (j + half) + 2 * r + c];
          if (static_cast<int>(word >> (16 * half) & 0xff) > args.keep_threshold)
            x = __uint_as_float(__float_as_uint(x) | 0x80000000u);
        }
      }
    }
  }
}

// A probability as mark_dropped() leaves it, 0 if it is dropped. NaN is kept, as fmaxf would not.
__device__ __forceinline__ float kept_or_zero(float p) {
  return kMarksDropped && static_cast<int>(__float_as_uint(p)) < 0 ? 0.0f : p;
}

// Turns k . q into factors of gradients: probabilities, times the slope of softcap, 1 - tanh^2, with a negative sign
// where kMarksDropped. Those that are kept are rounded into `packed`, a left operand. kScoresAtOnce of them at a
// time: what lies between takes few registers if they are few.
template <int N>
__device__ __forceinline__ void probabilities(float (&s)[N], u32 (&packed)[N / 2], const Arguments& args,
                                              const Sequence& sequence, const ColumnPlace& place,
                                              const RowStats* stats, bool whole) {
  static_assert(N % kScoresAtOnce == 0 && kScoresAtOnce % 8 == 0, "dropout's pattern comes for 16 queries");
#pragma unroll
  for (int first = 0; first < N; first += kScoresAtOnce) {
    float(&p)[kScoresAtOnce] = reinterpret_cast<float(&)[kScoresAtOnce]>(s[first]);
    const ColumnPlace here{place.batch, place.head, place.query + 2 * first, place.key,
                           place.bias + 2 * first * kBiasRowBytes};
    float slopes[kScoresAtOnce];
    cap(p, args, args.scale / args.softcap);  // dividing keeps the rounds of this loop apart: fewer registers
#pragma unroll
    for (int i = 0; i < kScoresAtOnce; ++i) slopes[i] = fmaf(-p[i], p[i], 1.0f);
    exponentiate(p, args, sequence, here, stats + 2 * first, whole);
    if constexpr (kMarksDropped) mark_dropped(p, args, here);
#pragma unroll
    for (int i = 0; i < kScoresAtOnce / 2; ++i)
      packed[first / 2 + i] = device::pack<scalar>(kept_or_zero(p[2 * i]), kept_or_zero(p[2 * i + 1]));
#pragma unroll
    for (int i = 0; i < kScoresAtOnce; ++i) p[i] *= kSoftcap ? slopes[i] : 1.0f;
  }
}

// Turns v . dout into ds cap', without dropped ones; p are the factors that probabilities() leaves.
template <int N>
__device__ __forceinline__ void score_gradients(float (&ds)[N], const float (&p)[N],
                                                const Arguments& args, const RowStats* stats) {
#pragma unroll
  for (int j = 0; j < N / 4; ++j) {
    const float4 pair = stats_pair(stats, j);
#pragma unroll
    for (int c = 0; c < 2; ++c) {
      const float delta = c == 0 ? pair.y : pair.w;
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        const int i = 4 * j + 2 * r + c;
        const bool dropped = kMarksDropped && static_cast<int>(__float_as_uint(p[i])) < 0;
        const float dp = dropped ? 0.0f : kDropout ? ds[i] * args.keep_scale : ds[i];
        ds[i] = fabsf(p[i]) * (dp - delta);
      }
    }
  }
}
