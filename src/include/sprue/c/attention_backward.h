/* The gradients of attention in the C API; sprue/ops/attention_backward.h has the formulas. Included by
 * sprue/sprue.h, which describes what all have in common. */
#ifndef SPRUE_C_ATTENTION_BACKWARD_H
#define SPRUE_C_ATTENTION_BACKWARD_H

#include "sprue/sprue.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sprue_attention_backward_args {
  size_t struct_size;
  const sprue_attention_args* forward; /* The call whose gradients are wanted, with out and lse as it wrote them. */
  sprue_tensor dq, dk, dv;
  sprue_tensor dout;
  sprue_tensor dbias, dslopes, dsinks; /* Optional. */
  int deterministic;                   /* 0 or 1. */
  void* workspace;                     /* NULL: from the allocator of the runtime's options. */
  size_t workspace_bytes;
} sprue_attention_backward_args;

SPRUE_API int sprue_attention_backward(sprue_runtime* runtime, const sprue_attention_backward_args* args,
                                       struct CUstream_st* stream);
SPRUE_API int sprue_prepare_attention_backward(sprue_runtime* runtime, const sprue_attention_backward_args* args);
/* How many bytes of workspace a call with these arguments needs. */
SPRUE_API int sprue_attention_backward_workspace_bytes(sprue_runtime* runtime,
                                                       const sprue_attention_backward_args* args, size_t* bytes);

#ifdef __cplusplus
}
#endif

#endif
