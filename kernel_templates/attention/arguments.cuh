// What an attention kernel is called with, and where one sequence of the batch lies. Included by an attention
// kernel below its constants: uses scalar and the features' flags. src/ops/attention_arguments.h has the same
// struct.
#pragma once

// Tensors as sprue/ops.h describes them; strides in elements. A pointer is null where nothing was given. With
// packed sequences the batch stride is 0; with pages the batch stride of k and v is a page's.
struct Arguments {
  const scalar *q, *k, *v;
  scalar* out;
  float* lse;
  i64 q_stride[3], k_stride[3], v_stride[3], out_stride[3];  // batch, sequence, head
  i64 lse_stride[3];                                         // batch, head, sequence
  const int *cu_seqlens_q, *cu_seqlens_k, *seqused_q, *seqused_k;
  const int* block_table;
  i64 block_table_stride[2];  // batch, page
  const void* bias;
  i64 bias_stride[3];  // batch, head, query; 0 where the bias is the same for all
  const float *alibi_slopes, *sinks;
  i64 slope_stride[2];  // batch, head
  i64 sink_stride;
  scalar* probabilities;
  i64 probabilities_stride[3];  // batch, head, query
  u32 dropout_keys[14];         // of the seven rounds of Philox
  u64 dropout_offset;
  int batch, heads, kv_heads;
  int seqlen_q, seqlen_k;  // of every sequence, or the most that one can have
  int page_size;
  int window_left, window_right, chunk;  // "no limit" is a number beyond all sequences
  int keep_threshold;                    // a probability is kept if its random byte is at most this
  float keep_scale;                      // 1 / (1 - dropout probability)
  float scale, softcap, empty_lse;
  float capping;  // scale / softcap
  int row_blocks;  // per head: of every sequence; with packed queries of all sequences, or a few more
};

// One sequence of the batch: how long it is, and its first row in q, out and lse, and in k and v.
struct Sequence {
  int seqlen_q, seqlen_k;
  int first_q, first_k;
  int shift;  // query i stands at position i + shift among the keys
};

__device__ __forceinline__ Sequence sequence_of(const Arguments& args, int batch) {
  Sequence s{args.seqlen_q, args.seqlen_k, 0, 0, 0};
  if constexpr (kVarlen) {
    if (args.cu_seqlens_q != nullptr) {
      s.first_q = args.cu_seqlens_q[batch];
      s.seqlen_q = args.cu_seqlens_q[batch + 1] - s.first_q;
    }
    if (args.cu_seqlens_k != nullptr) {
      s.first_k = args.cu_seqlens_k[batch];
      s.seqlen_k = args.cu_seqlens_k[batch + 1] - s.first_k;
    }
    if (args.seqused_q != nullptr) s.seqlen_q = min(s.seqlen_q, args.seqused_q[batch]);
    if (args.seqused_k != nullptr) s.seqlen_k = min(s.seqlen_k, args.seqused_k[batch]);
  }
  s.shift = s.seqlen_k - s.seqlen_q;
  return s;
}
