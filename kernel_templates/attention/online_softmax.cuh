// A warp's part of attention with mma.sync: products, the online softmax and the output. Included by an attention
// kernel after dropout.cuh: uses scalar, the features' flags and the tile shapes and pitches. By all lanes of a
// warp.
#pragma once

constexpr float kLowest = -3.4028234e38f;
// The running maximum is raised only when it has grown by more than this (in powers of two): until then the
// probabilities stay below 2^8, far from overflow, and the output need not be rescaled. Each row decides for
// itself, so its result does not depend on the rows it shares a tile with.
constexpr float kMaxSlack = kProbabilities ? 0.0f : 8.0f;

// What a warp holds of one tile's scores: rows 16 * t + 8 * r + lane / 4, keys 8 * j + 2 * (lane % 4) + c in
// at[t][4 * j + 2 * r + c].
struct Scores {
  float at[kRowTiles][4 * kKeyTiles];
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

// scores = q . k; `query_of(step)` gives the query fragments.
template <class QueryOf>
__device__ __forceinline__ void multiply_keys(Scores& scores, const QueryOf& query_of, u32 k_lane) {
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
  }
}

// The same for 16 keys alone, 8-key tiles j and j + 1.
template <class QueryOf>
__device__ __forceinline__ void multiply_16_keys(Scores& scores, const QueryOf& query_of, u32 k_lane, int j) {
#pragma unroll
  for (int t = 0; t < kRowTiles; ++t) {
#pragma unroll
    for (int i = 0; i < 8; ++i) scores.at[t][4 * j + i] = 0.0f;
  }
#pragma unroll
  for (int step = 0; step < kDimSteps; ++step) {
    const QueryStep query = query_of(step);
    u32 keys[4];
    load_matrix_x4(keys, k_lane + 2 * (8 * j * kPitchK + 16 * step));
#pragma unroll
    for (int t = 0; t < kRowTiles; ++t) {
      mma_m16n8k16<scalar>(scores.at[t] + 4 * j, query.at[t], keys[0], keys[1]);
      mma_m16n8k16<scalar>(scores.at[t] + 4 * j + 4, query.at[t], keys[2], keys[3]);
    }
  }
}

// Row `row` of the tile of queries, in the sequence.
__device__ __forceinline__ int sequence_row(const Place& place, int row) {
  constexpr bool kDerivesMuch = kSoftcap || kScaledScores || kAlibi || kBias || kDropout || kProbabilities;
  return (kDerivesMuch ? anew(place.first_row) : place.first_row) + row;
}

// The features that change scores, and masks. `warp_row` is the warp's first row in the tile of queries.
__device__ __forceinline__ void modify_scores(Scores& scores, const Arguments& args, const Place& place,
                                              const TileRange& tiles, int warp_row, int tile) {
  const bool whole = tile < tiles.whole_end && tile >= tiles.whole_first;
  // Writing probabilities takes many registers, and is for tests: what can be computed anew is.
  const Place here = kProbabilities ? place_of_block(args) : place;
  const int first_row = sequence_row(here, warp_row);
#pragma unroll
  for (int t = 0; t < kRowTiles; ++t) {
    const RowScores rows = row_scores(args, here.sequence, here.batch, here.head, first_row + 16 * t);
    score(scores.at[t], args, rows, tile * kBlockN);
    if (!whole) mask(scores.at[t], rows, tile * kBlockN);
  }
}

// Raises the maxima that have grown by more than the slack and rescales what was summed under the old ones.
__device__ __forceinline__ void raise_maxima(Accumulator& acc, const Scores& scores, float scale) {
  float raised[kRowTiles][2];
  bool grown = false;
#pragma unroll
  for (int t = 0; t < kRowTiles; ++t) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      float m = negative_infinity();
#pragma unroll
      for (int j = 0; j < kKeyTiles; ++j)
        m = fmaxf(m, fmaxf(scores.at[t][4 * j + 2 * r], scores.at[t][4 * j + 2 * r + 1]));
      raised[t][r] = quad_max(m) * scale;
      grown |= raised[t][r] > acc.row_max[t][r] + kMaxSlack;
    }
  }
  if (!__any_sync(0xffffffffu, grown)) return;
#pragma unroll
  for (int t = 0; t < kRowTiles; ++t) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const bool grows = raised[t][r] > acc.row_max[t][r] + kMaxSlack;
      const float factor = grows ? exp2_approx(acc.row_max[t][r] - raised[t][r]) : 1.0f;
      acc.row_max[t][r] = grows ? raised[t][r] : acc.row_max[t][r];
      acc.row_sum[t][r] *= factor;
#pragma unroll
      for (int c = 0; c < kOutTiles; ++c) {
        acc.out[t][c][2 * r] *= factor;
        acc.out[t][c][2 * r + 1] *= factor;
      }
    }
  }
}

// Dropout of the probabilities of 32 keys, 8-key tiles j to j + 3 of row tile t.
__device__ __forceinline__ void drop_probabilities(Scores& probabilities, const Arguments& args, const Place& place,
                                                   int warp_row, int tile, int t, int j) {
  float(&p)[16] = reinterpret_cast<float(&)[16]>(probabilities.at[t][4 * j]);
  const Place here = kProbabilities ? place_of_block(args) : place;
  apply_dropout(p, args, here.sequence, {here.batch, here.head, sequence_row(here, warp_row + 16 * t)},
                tile * kBlockN + 8 * j);
}

// out += p v with p = 2^(scale * score - row_max), 16 keys at a time: the exponentials of one step run under the
// products of the step before. Scores become probabilities; `drop(t, j)` drops those of four 8-key tiles. When
// `reuse(j)` is called, scores j and j + 1 have served.
template <class Drop, class Reuse>
__device__ __forceinline__ void multiply_values(Accumulator& acc, Scores& scores, float scale, u32 v_lane,
                                                const Drop& drop, const Reuse& reuse) {
  constexpr bool kDrops = kDropout || kProbabilities;
  constexpr int kTilesAtOnce = kDrops ? 4 : 2;
  float offset[kRowTiles][2];
#pragma unroll
  for (int t = 0; t < kRowTiles; ++t) {
#pragma unroll
    for (int r = 0; r < 2; ++r)
      offset[t][r] = -fmaxf(acc.row_max[t][r], kLowest);  // finite even if the row saw no key yet
  }
#pragma unroll
  for (int j = 0; j < kKeyTiles; j += 2) {
    if (j % kTilesAtOnce == 0) {
#pragma unroll
      for (int t = 0; t < kRowTiles; ++t) {
#pragma unroll
        for (int i = 0; i < 2 * kTilesAtOnce; ++i) {
          const int r = i % 2;
          float& low = scores.at[t][4 * j + 2 * i];
          float& high = scores.at[t][4 * j + 2 * i + 1];
          low = exp2_approx(fmaf(low, scale, offset[t][r]));
          high = exp2_approx(fmaf(high, scale, offset[t][r]));
          acc.row_sum[t][r] += low + high;
        }
        if constexpr (kDrops) drop(t, j);
      }
    }
    u32 p[kRowTiles][4];
#pragma unroll
    for (int t = 0; t < kRowTiles; ++t) {
#pragma unroll
      for (int i = 0; i < 4; ++i)
        p[t][i] = pack<scalar>(scores.at[t][4 * j + 2 * i], scores.at[t][4 * j + 2 * i + 1]);
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
    reuse(j);
  }
}

// One tile's scores, once modified, become its share of the output.
template <class Reuse>
__device__ __forceinline__ void accumulate(Accumulator& acc, Scores& scores, const Arguments& args,
                                           const Place& place, int warp_row, int tile, u32 v_lane,
                                           const Reuse& reuse) {
  const float scale = softmax_scale(args);
  const auto drop = [&](int t, int j) { drop_probabilities(scores, args, place, warp_row, tile, t, j); };
  raise_maxima(acc, scores, scale);
  multiply_values(acc, scores, scale, v_lane, drop, reuse);
}
