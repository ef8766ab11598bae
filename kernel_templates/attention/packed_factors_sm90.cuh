// probabilities() and score_gradients() with factors that are packed in between, kScoresAtOnce at a time. Included by
// attention_backward_sm90 after products_backward_sm90.cuh.
#pragma once

template <int N>
__device__ __forceinline__ void packed_probabilities(float (&s)[N], u32 (&packed)[N / 2], u32 (&factors)[N / 2],
                                                     const Arguments& args, const Sequence& sequence,
                                                     const ColumnPlace& place, const RowStats* stats, bool whole) {
#pragma unroll
  for (int i = 0; i < N; i += kScoresAtOnce) {
    float(&part)[kScoresAtOnce] = reinterpret_cast<float(&)[kScoresAtOnce]>(s[i]);
    const ColumnPlace here{place.batch, place.head, place.query + 2 * i, place.key,
                           place.bias + 2 * i * kBiasRowBytes};
    probabilities(part, reinterpret_cast<u32(&)[kScoresAtOnce / 2]>(packed[i / 2]), args, sequence, here,
                  stats + 2 * i, whole);
    pack(reinterpret_cast<u32(&)[kScoresAtOnce / 2]>(factors[i / 2]), part);
  }
}

template <int N>
__device__ __forceinline__ void packed_gradients(u32 (&packed)[N / 2], float (&ds)[N], const u32 (&factors)[N / 2],
                                                 const Arguments& args, const RowStats* stats) {
#pragma unroll
  for (int i = 0; i < N; i += kScoresAtOnce) {
    float(&part)[kScoresAtOnce] = reinterpret_cast<float(&)[kScoresAtOnce]>(ds[i]);
    float p[kScoresAtOnce];
    unpack(p, reinterpret_cast<const u32(&)[kScoresAtOnce / 2]>(factors[i / 2]));
    score_gradients(part, p, args, stats + 2 * i);
    pack(reinterpret_cast<u32(&)[kScoresAtOnce / 2]>(packed[i / 2]), part);
  }
}
