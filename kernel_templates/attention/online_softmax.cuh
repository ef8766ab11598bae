// A warp's part of attention with mma.sync: scores, masks, the online softmax and the output. Included by an
// attention kernel below its constants: uses scalar, kCausal and the tile shapes and pitches. By all lanes of
// a warp.
#pragma once

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
