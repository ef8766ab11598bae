/* Softmax in the C API; sprue/ops/softmax.h has the formulas. Included by sprue/sprue.h, which describes what all have
 * in common. */
#ifndef SPRUE_C_SOFTMAX_H
#define SPRUE_C_SOFTMAX_H

#include "sprue/sprue.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sprue_softmax_args {
  size_t struct_size;
  sprue_tensor y, x;
  float scale;       /* As given: 0 is 0. */
  sprue_tensor mask; /* Optional; SPRUE_U8. */
  int causal;        /* 0 or 1. */
} sprue_softmax_args;

SPRUE_API int sprue_softmax(sprue_runtime* runtime, const sprue_softmax_args* args, struct CUstream_st* stream);
SPRUE_API int sprue_prepare_softmax(sprue_runtime* runtime, const sprue_softmax_args* args);

typedef struct sprue_softmax_backward_args {
  size_t struct_size;
  sprue_tensor dx, dy, y;
  float scale; /* As given: 0 is 0. */
  int causal;  /* 0 or 1. */
} sprue_softmax_backward_args;

SPRUE_API int sprue_softmax_backward(sprue_runtime* runtime, const sprue_softmax_backward_args* args,
                                     struct CUstream_st* stream);
SPRUE_API int sprue_prepare_softmax_backward(sprue_runtime* runtime, const sprue_softmax_backward_args* args);

#ifdef __cplusplus
}
#endif

#endif
