/* The parts of the C API's test that are written in C. */
#ifndef SPRUE_TESTS_C_API_CALLS_H
#define SPRUE_TESTS_C_API_CALLS_H

#include "sprue/sprue.h"

#ifdef __cplusplus
extern "C" {
#endif

/* rms_norm of an x of [2, 65] and a y of [2, 64] must give this message; 0, or which step went wrong. */
int check_argument(sprue_runtime* runtime, const char* message);
/* Fills in the tensors that attention must have, without queries. */
void small_attention(sprue_attention_args* args);
/* attention without queries: nothing to do, on any machine. Its status. */
int empty_attention(sprue_runtime* runtime, float scale);

#ifdef __cplusplus
}
#endif

#endif
