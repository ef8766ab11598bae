/* Uses the C API from C, as strictly as C99 allows; c_api_test.cpp looks at the outcome. */
#include "c_api/calls.h"

#include <math.h>
#include <string.h>

int check_argument(sprue_runtime* runtime, const char* message) {
  float element = 0;
  const int64_t shape[] = {2, 64}, other[] = {2, 65};
  sprue_rms_norm_args args = {.struct_size = sizeof args, .eps = 1e-6f};
  if (sprue_tensor_init(&args.y, &element, SPRUE_F32, 2, shape, NULL) != SPRUE_OK) return 1;
  if (sprue_tensor_init(&args.x, &element, SPRUE_F32, 2, other, NULL) != SPRUE_OK) return 2;
  if (args.y.stride[0] != 64 || args.y.stride[1] != 1) return 3;
  if (sprue_rms_norm(runtime, &args, NULL) != SPRUE_ERROR_ARGUMENT) return 4;
  if (strcmp(sprue_last_error_message(), message) != 0) return 5;
  if (sprue_prepare_rms_norm(runtime, &args) != SPRUE_ERROR_ARGUMENT) return 6;
  return 0;
}

void small_attention(sprue_attention_args* args) {
  const int64_t query[] = {2, 0, 4, 64}, key[] = {2, 8, 2, 64}, stride[] = {1024, 128, 64, 1};
  static char memory[64];
  sprue_tensor_init(&args->out, NULL, SPRUE_BF16, 4, query, NULL);
  sprue_tensor_init(&args->q, NULL, SPRUE_BF16, 4, query, NULL);
  sprue_tensor_init(&args->k, memory, SPRUE_BF16, 4, key, stride);
  sprue_tensor_init(&args->v, memory, SPRUE_BF16, 4, key, NULL);
}

int empty_attention(sprue_runtime* runtime, float scale) {
  sprue_attention_args args = {.struct_size = sizeof args, .causal = 1, .scale = scale};
  small_attention(&args);
  return sprue_attention(runtime, &args, NULL);
}
