/* Activation functions in the C API; sprue/ops/activation.h has the formulas. Included by sprue/sprue.h,
 * which describes what all have in common. */
#ifndef SPRUE_C_ACTIVATION_H
#define SPRUE_C_ACTIVATION_H

#include "sprue/sprue.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum sprue_activation_function {
  SPRUE_IDENTITY = 0,
  SPRUE_RELU = 1,
  SPRUE_SQUARED_RELU = 2,
  SPRUE_LEAKY_RELU = 3,
  SPRUE_SIGMOID = 4,
  SPRUE_SILU = 5,
  SPRUE_GELU = 6,
  SPRUE_GELU_TANH = 7
} sprue_activation_function;

typedef struct sprue_activation_args {
  size_t struct_size;
  sprue_tensor y, x;
  int32_t function;                   /* A sprue_activation_function. */
  float negative_slope;               /* Of leaky ReLU; as given: 0 is 0. */
  sprue_tensor gate, bias, gate_bias; /* Optional. */
} sprue_activation_args;

SPRUE_API int sprue_activation(sprue_runtime* runtime, const sprue_activation_args* args,
                               struct CUstream_st* stream);
SPRUE_API int sprue_prepare_activation(sprue_runtime* runtime, const sprue_activation_args* args);

typedef struct sprue_activation_backward_args {
  size_t struct_size;
  sprue_tensor dx, dy, x;
  int32_t function;                          /* A sprue_activation_function. */
  float negative_slope;                      /* Of leaky ReLU; as given: 0 is 0. */
  sprue_tensor dgate, gate, bias, gate_bias; /* Optional. */
  sprue_tensor dbias, dgate_bias;            /* Optional. */
} sprue_activation_backward_args;

SPRUE_API int sprue_activation_backward(sprue_runtime* runtime, const sprue_activation_backward_args* args,
                                        struct CUstream_st* stream);
SPRUE_API int sprue_prepare_activation_backward(sprue_runtime* runtime,
                                                const sprue_activation_backward_args* args);

#ifdef __cplusplus
}
#endif

#endif
