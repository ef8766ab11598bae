// What happens to the scores between q . k and the softmax: softcap, ALiBi and bias, and masks. Included by
// an attention kernel below its constants and after visibility.cuh: uses bias_scalar and the features' flags.
//
// A fragment is what a lane holds of 16 rows and N / 4 tiles of 8 keys, as the multiplications leave it:
// s[4 * j + 2 * r + c] is row lane / 4 + 8 * r, key 8 * j + 2 * (lane % 4) + c.
#pragma once

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
