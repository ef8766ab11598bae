/* Rotary position embedding in the C API; sprue/ops/rope.h has the formulas. Included by sprue/sprue.h, which
 * describes what all have in common. */
#ifndef SPRUE_C_ROPE_H
#define SPRUE_C_ROPE_H

#include "sprue/sprue.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sprue_rope_args {
  size_t struct_size;
  sprue_tensor y, x;
  sprue_tensor cos, sin;
  sprue_tensor y_k, x_k, cos_k, sin_k; /* Optional. */
  int interleaved;                     /* 0 or 1. */
  int conjugate;                       /* 0 or 1. */
  int64_t offset;
  sprue_tensor offsets, cu_seqlens;        /* Optional; SPRUE_I32. */
  sprue_tensor norm_weight, norm_weight_k; /* Optional. */
  float norm_eps;                          /* As given: 0 is 0. */
} sprue_rope_args;

SPRUE_API int sprue_rope(sprue_runtime* runtime, const sprue_rope_args* args, struct CUstream_st* stream);
SPRUE_API int sprue_prepare_rope(sprue_runtime* runtime, const sprue_rope_args* args);

#ifdef __cplusplus
}
#endif

#endif
