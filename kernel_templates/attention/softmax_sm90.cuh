// The online softmax of attention_sm90, of the two rows that a thread holds of its warp's sixteen; fragments
// are as scores.cuh describes them. Included by the kernel.
#pragma once

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
