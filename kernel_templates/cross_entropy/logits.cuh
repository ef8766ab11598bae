// Logits of one row: where they lie, what they mean, and their gradient. Included by kernels of the
// cross_entropy family below their constants and labels.cuh: uses scalar, kVec and kSoftcap.
#pragma once

static_assert(kVec == 1 || kVec * sizeof(scalar) == 16, "vectors are of 16 bytes");

// A row is vectors, each aligned to its size, and up to 2 * (kVec - 1) elements before and behind them, the
// edges.
struct RowShape {
  int head, vectors, edges;

  __device__ __forceinline__ RowShape(const scalar* row, int classes) {
    constexpr u64 kBytes = kVec * sizeof(scalar);
    const u64 missing = (kBytes - reinterpret_cast<u64>(row) % kBytes) % kBytes / sizeof(scalar);
    head = missing < classes ? static_cast<int>(missing) : classes;
    vectors = (classes - head) / kVec;
    edges = classes - vectors * kVec;
  }
  __device__ __forceinline__ int column_of(int vector) const { return head + vector * kVec; }
  __device__ __forceinline__ int column_of_edge(int edge) const {
    return edge < head ? edge : edge + vectors * kVec;
  }
};

// A vector as it is in memory, two 16-bit values to a register.
struct alignas(kVec == 1 ? 4 : 16) Packed {
  u32 word[kVec == 1 ? 1 : 4];
};
__device__ __forceinline__ Packed load_packed(const scalar* src) {
  Packed packed;
  if constexpr (kVec > 1) {
    reinterpret_cast<Vec<u32, 4>&>(packed) = load<u32, 4>(reinterpret_cast<const u32*>(src));
  } else if constexpr (sizeof(scalar) == 2) {
    packed.word[0] = *reinterpret_cast<const u16*>(src);
  } else {
    packed.word[0] = *reinterpret_cast<const u32*>(src);
  }
  return packed;
}
__device__ __forceinline__ float value_of(const Packed& packed, int i) {
  if constexpr (sizeof(scalar) == 4) {
    return __uint_as_float(packed.word[i]);
  } else {
    return to_f32(scalar{static_cast<u16>(packed.word[i / 2] >> (16 * (i % 2)))});
  }
}
__device__ __forceinline__ void store_values(scalar* dst, const float (&values)[kVec]) {
  if constexpr (kVec == 1) {
    *dst = from_f32<scalar>(values[0]);
  } else {
    Vec<u32, 4> vector;
#pragma unroll
    for (int w = 0; w < 4; ++w) {
      if constexpr (sizeof(scalar) == 4) {
        vector.at[w] = __float_as_uint(values[w]);
      } else {
        vector.at[w] = pack<scalar>(values[2 * w], values[2 * w + 1]);
      }
    }
    store(reinterpret_cast<u32*>(dst), vector);
  }
}

// t = logit_scale * logit, or softcap * tanh(logit_scale * logit / softcap)
struct Logits {
  float factor, cap, inverse_cap;

  __device__ __forceinline__ explicit Logits(const LossTerms& terms) {
    factor = kSoftcap ? __fdividef(terms.logit_scale, terms.softcap) * (2.0f * kLog2E) : terms.logit_scale;
    cap = terms.softcap;
    inverse_cap = kSoftcap ? __fdividef(1.0f, cap) : 0.0f;
  }
  __device__ __forceinline__ float of(float logit) const {
    const float x = logit * factor;
    return kSoftcap ? cap - __fdividef(2.0f * cap, exp2_approx(x) + 1.0f) : x;
  }
  // The derivative of the softcap where of() gave t.
  __device__ __forceinline__ float slope(float t) const {
    const float tanh = t * inverse_cap;
    return kSoftcap ? fmaf(-tanh, tanh, 1.0f) : 1.0f;
  }
};

// dloss * (softmax * (1 + 2 * lse_square_scale * lse) - (1 - smoothing) * (column is the label)
//          - smoothing / classes) * logit_scale, times the slope of the softcap.
// Softmax is 2^(t * log2(e) - base) / sum.
struct RowGradient {
  float base, weight, shift, at_label;

  __device__ __forceinline__ RowGradient(const LossTerms& terms, float lse, float base, float sum,
                                         float dloss)
      : base(base) {
    const float factor = dloss * terms.logit_scale;
    weight = __fdividef(fmaf(2.0f * terms.lse_square_scale, lse, 1.0f) * factor, sum);
    shift = -__fdividef(terms.smoothing, static_cast<float>(terms.total_classes)) * factor;
    at_label = shift - (1.0f - terms.smoothing) * factor;
  }
  __device__ __forceinline__ float of(const Logits& logits, float t, bool is_label) const {
    return fmaf(exp2_approx(fmaf(t, kLog2E, -base)), weight, is_label ? at_label : shift) * logits.slope(t);
  }
};

// The gradients of a vector whose first column is `column`, stored to dst.
__device__ __forceinline__ void store_gradients(scalar* dst, const Packed& packed, int column, int label,
                                                const Logits& logits, const RowGradient& gradient) {
  float values[kVec];
#pragma unroll
  for (int i = 0; i < kVec; ++i)
    values[i] = gradient.of(logits, logits.of(value_of(packed, i)), column + i == label);
  store_values(dst, values);
}
__device__ __forceinline__ void store_gradient(scalar* dst, scalar logit, bool is_label, const Logits& logits,
                                               const RowGradient& gradient) {
  *dst = from_f32<scalar>(gradient.of(logits, logits.of(to_f32(logit)), is_label));
}
