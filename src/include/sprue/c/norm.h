/* Normalisation in the C API; sprue/ops/norm.h has the formulas. Included by sprue/sprue.h, which describes
 * what all have in common. */
#ifndef SPRUE_C_NORM_H
#define SPRUE_C_NORM_H

#include "sprue/sprue.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sprue_rms_norm_args {
  size_t struct_size;
  sprue_tensor y, x;
  sprue_tensor weight; /* Optional. */
  float eps;           /* As given: 0 is 0. */
} sprue_rms_norm_args;

SPRUE_API int sprue_rms_norm(sprue_runtime* runtime, const sprue_rms_norm_args* args,
                             struct CUstream_st* stream);
SPRUE_API int sprue_prepare_rms_norm(sprue_runtime* runtime, const sprue_rms_norm_args* args);

#ifdef __cplusplus
}
#endif

#endif
