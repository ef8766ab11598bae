/* Cross entropy in the C API; sprue/ops/cross_entropy.h has the formulas. Included by sprue/sprue.h, which
 * describes what all have in common. */
#ifndef SPRUE_C_CROSS_ENTROPY_H
#define SPRUE_C_CROSS_ENTROPY_H

#include "sprue/sprue.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum sprue_reduction {
  SPRUE_REDUCTION_NONE = 0,
  SPRUE_REDUCTION_MEAN = 1,
  SPRUE_REDUCTION_SUM = 2
} sprue_reduction;

/* As given: an ignore_index or logit_scale of 0 is 0. SPRUE_LOSS_OPTIONS has the defaults of C++. */
typedef struct sprue_loss_options {
  int64_t ignore_index;
  float label_smoothing;
  float logit_scale;
  float softcap;
  float lse_square_scale;
  int32_t reduction; /* A sprue_reduction. */
} sprue_loss_options;

#define SPRUE_LOSS_OPTIONS {-100, 0, 1, 0, 0, SPRUE_REDUCTION_MEAN}

typedef struct sprue_cross_entropy_args {
  size_t struct_size;
  sprue_tensor loss, logits, labels;
  sprue_tensor dlogits, z_loss, lse, bad_labels; /* Optional. */
  sprue_tensor precomputed_lse;                  /* Optional. */
  sprue_loss_options options;
} sprue_cross_entropy_args;

typedef struct sprue_cross_entropy_backward_args {
  size_t struct_size;
  sprue_tensor dlogits, dloss, logits, labels, lse;
  int64_t class_start;
  int64_t total_classes; /* 0: those of logits are all. */
  sprue_loss_options options;
} sprue_cross_entropy_backward_args;

typedef struct sprue_cross_entropy_partials_args {
  size_t struct_size;
  sprue_tensor partials, logits, labels;
  int64_t class_start;
  int64_t total_classes; /* 0: those of logits are all. */
  sprue_loss_options options;
} sprue_cross_entropy_partials_args;

typedef struct sprue_cross_entropy_combine_args {
  size_t struct_size;
  sprue_tensor loss, partials, labels;
  int64_t total_classes;
  sprue_tensor z_loss, lse, bad_labels; /* Optional. */
  sprue_loss_options options;
} sprue_cross_entropy_combine_args;

SPRUE_API int sprue_cross_entropy(sprue_runtime* runtime, const sprue_cross_entropy_args* args,
                                  struct CUstream_st* stream);
SPRUE_API int sprue_prepare_cross_entropy(sprue_runtime* runtime, const sprue_cross_entropy_args* args);

SPRUE_API int sprue_cross_entropy_backward(sprue_runtime* runtime, const sprue_cross_entropy_backward_args* args,
                                           struct CUstream_st* stream);
SPRUE_API int sprue_prepare_cross_entropy_backward(sprue_runtime* runtime,
                                                   const sprue_cross_entropy_backward_args* args);

SPRUE_API int sprue_cross_entropy_partials(sprue_runtime* runtime, const sprue_cross_entropy_partials_args* args,
                                           struct CUstream_st* stream);
SPRUE_API int sprue_prepare_cross_entropy_partials(sprue_runtime* runtime,
                                                   const sprue_cross_entropy_partials_args* args);

SPRUE_API int sprue_cross_entropy_combine(sprue_runtime* runtime, const sprue_cross_entropy_combine_args* args,
                                          struct CUstream_st* stream);
SPRUE_API int sprue_prepare_cross_entropy_combine(sprue_runtime* runtime,
                                                  const sprue_cross_entropy_combine_args* args);

#ifdef __cplusplus
}
#endif

#endif
