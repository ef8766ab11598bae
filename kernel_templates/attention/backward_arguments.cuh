// What the kernels of attention's gradients are called with. Included by such a kernel after arguments.cuh.
// src/ops/attention_backward_arguments.h has the same struct.
#pragma once

// What every kernel needs to know of a row of queries; attention_backward_delta computes it.
struct alignas(8) RowStats {
  float lse;    // in powers of two; +infinity where the row sees no key, so that its probabilities become 0
  float delta;  // dot(dout[row, :], out[row, :])
};

// Tensors as sprue/ops/attention_backward.h describes them; strides in elements, as in Arguments. A pointer
// is null where nothing was given.
struct BackwardArguments {
  Arguments forward;
  const scalar* dout;
  scalar *dq, *dk, *dv;
  i64 dout_stride[3], dq_stride[3], dk_stride[3], dv_stride[3];  // batch, sequence, head
  void* dbias;
  i64 dbias_stride[3];  // batch, head, query; 0 where the bias is the same for all
  float *dslopes, *dsinks;
  i64 dslope_stride[2];  // batch, head
  i64 dsink_stride;
  // Workspace, with strides of batch, head and sequence as those of a contiguous lse.
  RowStats* stats;
  float* slope_rows;  // of -ds |p - j|, the sum over j
  i64 row_stride[3];
  float* dq_sums;        // attention_backward_delta sets them to zero
  u32* dq_marks;         // and these, one for every tile of queries; they follow dq_sums
  u32* dbias_marks;      // and these, one for every block of keys, where two sequences share a bias
  i64 dq_chunks;         // of 16 bytes that are set to zero
  int key_blocks;  // per head: of every sequence; with packed keys of all sequences, or a few more
  int bias_batch, bias_heads, bias_q, bias_k;  // extents of bias
};
