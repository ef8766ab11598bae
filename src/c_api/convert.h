// From the structs of the C API to the C++ ones, and from exceptions to status codes. No exception leaves.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "sprue/ops.h"
#include "sprue/sprue.h"

struct sprue_runtime {
  sprue::Runtime runtime;
};

namespace sprue::c_api {

/// Keeps the message for sprue_last_error_message().
int failed(sprue_status status, const char* message) noexcept;

template <class Call>
int guarded(const Call& call) noexcept {
  try {
    call();
    return SPRUE_OK;
  } catch (const ArgumentError& e) {
    return failed(SPRUE_ERROR_ARGUMENT, e.what());
  } catch (const TemplateError& e) {
    return failed(SPRUE_ERROR_TEMPLATE, e.what());
  } catch (const CompileError& e) {
    return failed(SPRUE_ERROR_COMPILE, e.what());
  } catch (const CudaError& e) {
    return failed(SPRUE_ERROR_CUDA, e.what());
  } catch (const CacheError& e) {
    return failed(SPRUE_ERROR_CACHE, e.what());
  } catch (const NotPrewarmedError& e) {
    return failed(SPRUE_ERROR_NOT_PREWARMED, e.what());
  } catch (const CaptureError& e) {
    return failed(SPRUE_ERROR_CAPTURE, e.what());
  } catch (const CancelledError& e) {
    return failed(SPRUE_ERROR_CANCELLED, e.what());
  } catch (const std::bad_alloc&) {
    return failed(SPRUE_ERROR_OUT_OF_MEMORY, "the host has no memory left");
  } catch (const std::exception& e) {
    return failed(SPRUE_ERROR_OTHER, e.what());
  } catch (...) {
    return failed(SPRUE_ERROR_OTHER, "an exception that is not a std::exception");
  }
}

template <class T>
T& required(const char* name, T* pointer) {
  if (pointer == nullptr) throw ArgumentError(fmt::format("{} must not be NULL", name));
  return *pointer;
}

/// How much of a struct of `known` bytes the caller has.
std::size_t checked_size(const char* name, std::size_t given, std::size_t known);

/// The caller's struct as this library knows it: members that it lacks are 0, members that are not known here
/// must be 0.
template <class T>
T read(const char* name, const T* given) {
  T copy{};
  const std::size_t size = checked_size(name, required(name, given).struct_size, sizeof(T));
  std::memcpy(&copy, given, size);
  const char* bytes = reinterpret_cast<const char*>(given);
  if (std::any_of(bytes + size, bytes + given->struct_size, [](char byte) { return byte != 0; })) {
    throw ArgumentError(
        fmt::format("{} must use only members that Sprue {} knows, but has others set: "
                    "it was built against a newer sprue.h",
                    name, SPRUE_VERSION));
  }
  return copy;
}

Tensor tensor_of(const char* name, const sprue_tensor& tensor);
Attention arguments(const sprue_attention_args* given);
/// 0 or 1.
bool read_flag(const char* name, int given);

}  // namespace sprue::c_api
