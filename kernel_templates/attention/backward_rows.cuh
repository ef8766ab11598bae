// Gradients of scores where the rows of a fragment are queries and its columns keys, as scores.cuh describes
// it. Included by a kernel of attention's gradients after dropout.cuh and bias_tile.cuh: uses kBiasTiles, whether the
// bias is in shared memory.
#pragma once

// A lane's two rows of 16 queries.
struct GradientRows {
  RowScores scores;
  RowStats stats[2];
  FragmentPlace place;
  u32 bias;  // with kBiasTiles: a lane's address of its tile
};

// `row` is the fragment's first query. Rows beyond the sequence have no probabilities.
__device__ __forceinline__ GradientRows gradient_rows(const BackwardArguments& args, const Sequence& sequence,
                                                      int batch, int head, int row) {
  GradientRows rows;
  rows.scores = row_scores(args.forward, sequence, batch, head, row);
  rows.place = {batch, head, row};
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const int i = rows.scores.row[r].query;
    rows.stats[r] = {-negative_infinity(), 0.0f};
    if (kHidesTails && i >= sequence.seqlen_q) rows.scores.keys[r] = {0, 0};
    if (i < sequence.seqlen_q) {
      rows.stats[r] = args.stats[batch * args.row_stride[0] + head * args.row_stride[1] +
                                 (sequence.first_q + i) * args.row_stride[2]];
    }
  }
  return rows;
}

// s: q . k, becomes ds cap'. dp: dout . v, becomes ds. They have the tile's keys from `first` on, and so keys from
// `key` on, both multiples of 32.
template <int N>
__device__ __forceinline__ void score_gradients(float (&s)[N], float (&dp)[N], const Arguments& args,
                                                const GradientRows& rows, int key, bool whole, int first = 0) {
  float slopes[kSoftcap ? N : 1];  // of softcap
  cap(s, args, args.scale / args.softcap);  // as in backward_columns.cuh
  if constexpr (kSoftcap) {
#pragma unroll
    for (int i = 0; i < N; ++i) slopes[i] = fmaf(-s[i], s[i], 1.0f);
  }
  const float scale = softmax_scale(args);
  add_terms<kBias && !kBiasTiles>(s, args, rows.scores, key);
  if constexpr (kBiasTiles) add_bias_rows(s, rows.bias, first, kLog2E / scale);
  if (!whole) {
    mask(s, rows.scores, key);
    if constexpr (kHidesTails) {
#pragma unroll
      for (int i = 0; i < N; ++i) dp[i] = s[i] == negative_infinity() ? 0.0f : dp[i];
    }
  }
#pragma unroll
  for (int j = 0; j < N / 4; j += 4) {
    const uint4 bytes = kDropout ? dropout_bytes(args, rows.place, key + 8 * j) : uint4{};
    const u32 words[4] = {bytes.x, bytes.y, bytes.z, bytes.w};
#pragma unroll
    for (int i = 0; i < 16; ++i) {
      const int at = 4 * j + i, r = i / 2 % 2;
      const float p = exp2_approx(fmaf(s[at], scale, -rows.stats[r].lse));
      float d = dp[at];
      if constexpr (kDropout) {
        const bool kept = static_cast<int>(words[i / 4] >> (i % 4 * 8) & 0xff) <= args.keep_threshold;
        d = kept ? d * args.keep_scale : 0.0f;
      }
      dp[at] = p * (d - rows.stats[r].delta);
      s[at] = dp[at];
      if constexpr (kSoftcap) s[at] *= slopes[at];
    }
  }
}
