/* Sprue's C API: opaque handles, plain structs, status codes. Any C99 compiler; no CUDA header is needed.
 *
 *   sprue_runtime* runtime = NULL;
 *   if (sprue_runtime_create(NULL, &runtime) != SPRUE_OK) puts(sprue_last_error_message());
 *   sprue_rms_norm_args args = {.struct_size = sizeof args, .eps = 1e-6f};
 *   const int64_t shape[] = {rows, hidden};
 *   sprue_tensor_init(&args.y, y, SPRUE_BF16, 2, shape, NULL);
 *   sprue_tensor_init(&args.x, x, SPRUE_BF16, 2, shape, NULL);
 *   int status = sprue_rms_norm(runtime, &args, stream);
 *
 * Every function that can fail returns a sprue_status; sprue_last_error_message() then says what was expected
 * and what was given. Functions are thread-safe except that a runtime is destroyed once, when no other call
 * uses it. Structs that may grow begin with struct_size, which the caller sets to sizeof; new members come at
 * the end and 0 is their default, so programs built against an older header go on working. The operators are
 * described in sprue/ops.h.
 */
#ifndef SPRUE_SPRUE_H
#define SPRUE_SPRUE_H

#include <stddef.h>
#include <stdint.h>

#include "sprue/export.h"
#include "sprue/version.h"

#ifdef __cplusplus
extern "C" {
#endif

struct CUstream_st;

/* Errors are named by who must act on them, as in sprue/error.h. */
typedef enum sprue_status {
  SPRUE_OK = 0,
  SPRUE_ERROR_ARGUMENT = 1,      /* The call is wrong: fix the arguments. */
  SPRUE_ERROR_TEMPLATE = 2,      /* A template or its manifest is wrong. */
  SPRUE_ERROR_COMPILE = 3,       /* The device compiler refused a source, or there is none. */
  SPRUE_ERROR_CUDA = 4,          /* A driver call failed, or there is no driver. */
  SPRUE_ERROR_CACHE = 5,         /* The kernel cache cannot be used as asked. */
  SPRUE_ERROR_NOT_PREWARMED = 6, /* require_prewarmed is set and the kernel is in no cache. */
  SPRUE_ERROR_CAPTURE = 7,       /* The stream is being captured; the kernel is not loaded: prepare first. */
  SPRUE_ERROR_CANCELLED = 8,     /* A compile was cancelled. */
  SPRUE_ERROR_OUT_OF_MEMORY = 9, /* The host has no memory left. */
  SPRUE_ERROR_OTHER = 10         /* Anything else; the message says what. */
} sprue_status;

/* "0.1.0": the library's, where SPRUE_VERSION is the header's. */
SPRUE_API const char* sprue_version(void);

/* About this thread's latest call that failed; "" before the first. Valid until the thread's next failure. */
SPRUE_API const char* sprue_last_error_message(void);

/* ---- Runtime ---- */

typedef struct sprue_runtime sprue_runtime;

typedef enum sprue_switch { SPRUE_DEFAULT = 0, SPRUE_ON = 1, SPRUE_OFF = -1 } sprue_switch;
typedef enum sprue_log_level {
  SPRUE_LOG_DEBUG = 0,
  SPRUE_LOG_INFO = 1,
  SPRUE_LOG_WARNING = 2
} sprue_log_level;

#define SPRUE_NO_LIMIT UINT64_MAX

/* sprue/runtime.h describes the options. 0 and NULL: what the SPRUE_* variables of the environment say. */
typedef struct sprue_runtime_options {
  size_t struct_size;
  const char* cache_directory;
  const char* const* read_only_caches;
  size_t read_only_cache_count;
  uint64_t cache_limit_bytes; /* SPRUE_NO_LIMIT: no limit. */
  int disk_cache;             /* A sprue_switch. */
  int require_prewarmed;      /* A sprue_switch. */
  const char* template_directory;
  const char* const* tuned;
  size_t tuned_count;
  const char* record;
  const char* nvrtc;
  void* (*allocate)(void* user, size_t bytes, struct CUstream_st* stream); /* NULL: out of memory. */
  void (*deallocate)(void* user, void* data, size_t bytes, struct CUstream_st* stream);
  void* allocator_user;
  void (*log)(void* user, int level, const char* message); /* Called from any thread. */
  void* log_user;
} sprue_runtime_options;

/* `options` may be NULL. Needs neither a GPU nor a driver nor a compiler. */
SPRUE_API int sprue_runtime_create(const sprue_runtime_options* options, sprue_runtime** runtime);
/* NULL is allowed. */
SPRUE_API void sprue_runtime_destroy(sprue_runtime* runtime);

/* What a runtime has done so far; sprue/runtime.h describes the numbers. */
typedef struct sprue_counters {
  size_t struct_size;
  uint64_t launches, memory_misses, directory_hits, read_only_hits, compiles, failures, waits;
  double render_ms, compile_ms, load_ms;
} sprue_counters;

SPRUE_API int sprue_runtime_counters(const sprue_runtime* runtime, sprue_counters* counters);

/* ---- Tensors: views of device memory ---- */

#define SPRUE_MAX_RANK 6

typedef enum sprue_dtype {
  SPRUE_F32 = 0,
  SPRUE_F16 = 1,
  SPRUE_BF16 = 2,
  SPRUE_I32 = 3,
  SPRUE_U8 = 4,
  SPRUE_I8 = 5,
  SPRUE_I64 = 6,
  SPRUE_E4M3 = 7
} sprue_dtype;

/* All zero means "not given". Strides are in elements. */
typedef struct sprue_tensor {
  void* data;
  int32_t dtype; /* A sprue_dtype. */
  int32_t rank;
  int64_t shape[SPRUE_MAX_RANK];
  int64_t stride[SPRUE_MAX_RANK];
} sprue_tensor;

/* `shape` and `stride` have `rank` elements; a NULL stride means row-major. */
SPRUE_API int sprue_tensor_init(sprue_tensor* tensor, void* data, int dtype, int rank, const int64_t* shape,
                                const int64_t* stride);

#ifdef __cplusplus
}
#endif

/* ---- Operators: asynchronous on `stream`; sprue_prepare_* only load the kernel, for graph capture ---- */

#include "sprue/c/activation.h"
#include "sprue/c/attention.h"
#include "sprue/c/attention_backward.h"
#include "sprue/c/cross_entropy.h"
#include "sprue/c/norm.h"
#include "sprue/c/rope.h"
#include "sprue/c/softmax.h"

#endif
