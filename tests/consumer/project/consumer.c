/* The C API from C: makes a runtime, fails a call on purpose, reads the message and the counters. */
#include <sprue/sprue.h>
#include <stdio.h>
#include <string.h>

int main(void) {
  sprue_runtime* runtime = NULL;
  if (sprue_runtime_create(NULL, &runtime) != SPRUE_OK) {
    puts(sprue_last_error_message());
    return 1;
  }
  sprue_rms_norm_args args = {.struct_size = sizeof args, .eps = 1e-6f};
  const int status = sprue_rms_norm(runtime, &args, NULL);
  printf("Sprue %s: %s\n", sprue_version(), sprue_last_error_message());

  sprue_counters counters = {.struct_size = sizeof counters};
  const int counted = sprue_runtime_counters(runtime, &counters);
  sprue_runtime_destroy(runtime);
  return status == SPRUE_ERROR_ARGUMENT && counted == SPRUE_OK && counters.launches == 0 &&
                 strcmp(sprue_version(), SPRUE_VERSION) == 0
             ? 0
             : 1;
}
