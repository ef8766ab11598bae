// Makes a runtime and catches one of its errors by type, which needs the type information to be visible.
#include <sprue/ops.h>
#include <sprue/version.h>

#include <cstdio>

int main() {
  sprue::RuntimeOptions options;
  options.disk_cache = false;
  sprue::Runtime runtime(options);
  try {
    sprue::rms_norm(runtime, {});
  } catch (const sprue::ArgumentError& error) {
    std::printf("Sprue " SPRUE_VERSION ": %s\n", error.what());
    return runtime.counters().compiles == 0 ? 0 : 1;
  }
  return 1;
}
