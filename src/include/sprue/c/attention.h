/* Attention in the C API; sprue/ops/attention.h has the formulas. Included by sprue/sprue.h, which describes
 * what all have in common. */
#ifndef SPRUE_C_ATTENTION_H
#define SPRUE_C_ATTENTION_H

#include "sprue/sprue.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum sprue_windows { SPRUE_WINDOW_LEFT = 1, SPRUE_WINDOW_RIGHT = 2 } sprue_windows;

typedef struct sprue_attention_args {
  size_t struct_size;
  sprue_tensor out, q, k, v;
  sprue_tensor lse; /* Optional. */
  int causal;       /* 0 or 1. */
  float scale;      /* 0 or NAN: 1 / sqrt(head_dim). */
  int window;       /* Which of the two limits hold: a sum of sprue_windows. */
  int64_t window_left, window_right;
  int64_t chunk;             /* 0: no limit. */
  float softcap;             /* 0: none. */
  float dropout_probability; /* 0: none. */
  uint64_t dropout_seed, dropout_offset;
  sprue_tensor alibi_slopes, bias, sinks;         /* Optional, as all that follow. */
  sprue_tensor probabilities;                     /* An output. */
  sprue_tensor cu_seqlens_q, cu_seqlens_k;        /* SPRUE_I32. */
  sprue_tensor seqused_q, seqused_k, block_table; /* SPRUE_I32. */
  float empty_lse;                                /* 0: -INFINITY. */
  int batch_invariant;                            /* 0 or 1. */
  int portable;                                   /* 0 or 1. */
} sprue_attention_args;

SPRUE_API int sprue_attention(sprue_runtime* runtime, const sprue_attention_args* args,
                              struct CUstream_st* stream);
SPRUE_API int sprue_prepare_attention(sprue_runtime* runtime, const sprue_attention_args* args);

#ifdef __cplusplus
}
#endif

#endif
