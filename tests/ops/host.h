// For checks of arguments on the host: addresses that nobody dereferences, and a runtime that touches no
// disk.
#pragma once

#include <cstdint>

#include "sprue/ops.h"

namespace sprue {

inline void* address(std::uintptr_t value) {
  return reinterpret_cast<void*>(value);
}

inline Runtime& host_runtime() {
  static Runtime runtime([] {
    RuntimeOptions options;
    options.disk_cache = false;
    return options;
  }());
  return runtime;
}

}  // namespace sprue
