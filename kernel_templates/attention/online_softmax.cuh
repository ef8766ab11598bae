// A warp's part of attention with mma.sync: products, the online softmax and the output. Included by an attention
// kernel after dropout.cuh: uses scalar, the features' flags and the tile shapes and pitches. By all lanes of a
// warp.
#pragma once

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
