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
  sprue_tensor weight;                       /* Optional. */
  float eps;                                 /* As given: 0 is 0. */
  sprue_tensor bias, residual, residual_out; /* Optional. */
  int zero_centred_weight;                   /* 0 or 1. */
  /* Optional, all of them. */
  sprue_tensor row_scale, column_scale;
  float x_scale; /* 0: 1. */
  float dropout_probability;
  uint64_t dropout_seed, dropout_offset;
  sprue_tensor dropout_mask;
  sprue_tensor x1, dropout_mask1;
  sprue_tensor gate;
  int gate_first; /* 0 or 1. */
  sprue_tensor y1, weight1, bias1;
  sprue_tensor y_scale, y1_scale;
  sprue_tensor y_row_scale, y1_row_scale;
  sprue_tensor x_rows, y_rows;
} sprue_rms_norm_args;

SPRUE_API int sprue_rms_norm(sprue_runtime* runtime, const sprue_rms_norm_args* args,
                             struct CUstream_st* stream);
SPRUE_API int sprue_prepare_rms_norm(sprue_runtime* runtime, const sprue_rms_norm_args* args);

typedef struct sprue_layer_norm_args {
  size_t struct_size;
  sprue_tensor y, x;
  sprue_tensor weight, bias;           /* Optional. */
  float eps;                           /* As given: 0 is 0. */
  sprue_tensor residual, residual_out; /* Optional. */
  int zero_centred_weight;             /* 0 or 1. */
  /* Optional, all of them. */
  sprue_tensor row_scale, column_scale;
  float x_scale; /* 0: 1. */
  float dropout_probability;
  uint64_t dropout_seed, dropout_offset;
  sprue_tensor dropout_mask;
  sprue_tensor x1, dropout_mask1;
  sprue_tensor gate;
  int gate_first; /* 0 or 1. */
  sprue_tensor y1, weight1, bias1;
  sprue_tensor y_scale, y1_scale;
  sprue_tensor y_row_scale, y1_row_scale;
  sprue_tensor x_rows, y_rows;
} sprue_layer_norm_args;

SPRUE_API int sprue_layer_norm(sprue_runtime* runtime, const sprue_layer_norm_args* args,
                               struct CUstream_st* stream);
SPRUE_API int sprue_prepare_layer_norm(sprue_runtime* runtime, const sprue_layer_norm_args* args);

/* Of both norms. */
typedef struct sprue_norm_backward_args {
  size_t struct_size;
  sprue_tensor dx, dy, z;
  sprue_tensor weight, dweight, dbias;   /* Optional. */
  sprue_tensor dresidual_out, dresidual; /* Optional. */
  float eps;                             /* As given: 0 is 0. */
  int zero_centred_weight;               /* 0 or 1. */
  /* Optional, all of them. */
  sprue_tensor x, row_scale, column_scale, dcolumn_scale;
  float x_scale; /* 0: 1. */
  float dropout_probability;
  uint64_t dropout_seed, dropout_offset;
  sprue_tensor dropout_mask;
  sprue_tensor dx1, dropout_mask1;
  sprue_tensor gate;
  int gate_first; /* 0 or 1. */
  sprue_tensor dgate, bias;
  sprue_tensor dy1, weight1, bias1, dweight1, dbias1;
  sprue_tensor x_rows, y_rows;
} sprue_norm_backward_args;

SPRUE_API int sprue_rms_norm_backward(sprue_runtime* runtime, const sprue_norm_backward_args* args,
                                      struct CUstream_st* stream);
SPRUE_API int sprue_prepare_rms_norm_backward(sprue_runtime* runtime, const sprue_norm_backward_args* args);
SPRUE_API int sprue_layer_norm_backward(sprue_runtime* runtime, const sprue_norm_backward_args* args,
                                        struct CUstream_st* stream);
SPRUE_API int sprue_prepare_layer_norm_backward(sprue_runtime* runtime, const sprue_norm_backward_args* args);

#ifdef __cplusplus
}
#endif

#endif
