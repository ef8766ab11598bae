// For checks of arguments on the host: addresses that nobody dereferences, and a runtime that touches no
// disk.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>

#include "sprue/error.h"
#include "sprue/ops.h"

namespace sprue {

inline void* address(std::uintptr_t value) {
  return reinterpret_cast<void*>(value);
}

/// At an address of its own.
inline Tensor host_tensor(int megabyte, std::initializer_list<std::int64_t> shape, DType dtype) {
  return {address(std::uintptr_t(megabyte) << 20), dtype, shape};
}

inline Runtime& host_runtime() {
  static Runtime runtime([] {
    RuntimeOptions options;
    options.disk_cache = false;
    return options;
  }());
  return runtime;
}

/// What the operator says to its arguments: an ArgumentError's text, or how far it came.
template <class Args>
std::string answer_to(const Args& args, void (*op)(Runtime&, const Args&, Stream)) {
  try {
    op(host_runtime(), args, nullptr);
  } catch (const ArgumentError& e) {
    return e.what();
  } catch (const CudaError&) {
    return "needs a GPU";
  }
  return "accepted";
}

}  // namespace sprue
