// Errors, named by who must act on them. Every message says what was expected and what was given.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

#include "sprue/export.h"

namespace sprue {

/// The base of everything Sprue throws.
class SPRUE_API Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
  ~Error() override;
};

/// The call is wrong: fix the arguments. Message: `[rms_norm] weight must have 4096 elements ... but has 4095`.
class SPRUE_API ArgumentError : public Error {
 public:
  using Error::Error;
  ~ArgumentError() override;
};

/// A template or its manifest is wrong. The message starts with `file:line:column: `.
class SPRUE_API TemplateError : public Error {
 public:
  TemplateError(std::string file, int line, int column, const std::string& message);
  ~TemplateError() override;

  std::string file;
  int line = 0;    ///< 1-based; 0 when the whole file is meant.
  int column = 0;  ///< 1-based; 0 when the whole line is meant.
};

/// The device compiler refused a source, or there is no usable compiler. `what()` holds numbered source lines around the first error.
class SPRUE_API CompileError : public Error {
 public:
  explicit CompileError(const std::string& message, std::string log = {}, std::string source = {},
                        std::string options = {}, std::string reproduce = {});
  ~CompileError() override;

  std::string log;        ///< The compiler's whole output.
  std::string source;     ///< The complete rendered source.
  std::string options;    ///< The options, separated by spaces.
  std::string reproduce;  ///< One shell line that shows the same failure.
};

/// A CUDA driver call failed, or there is no usable driver.
class SPRUE_API CudaError : public Error {
 public:
  CudaError(const std::string& message, int code);
  ~CudaError() override;

  int code = 0;  ///< The CUresult; -1 when the driver library could not be loaded.
};

/// The kernel cache cannot be used as asked. Reaches the caller only from cache management, never from a launch.
class SPRUE_API CacheError : public Error {
 public:
  using Error::Error;
  ~CacheError() override;
};

/// `require_prewarmed` is set and the kernel is in no cache tier; nothing was compiled.
class SPRUE_API NotPrewarmedError : public Error {
 public:
  using Error::Error;
  ~NotPrewarmedError() override;
};

/// The stream is being captured into a CUDA graph and the kernel is not loaded yet: call prepare() first.
class SPRUE_API CaptureError : public Error {
 public:
  using Error::Error;
  ~CaptureError() override;
};

/// A compile was cancelled by the caller.
class SPRUE_API CancelledError : public Error {
 public:
  using Error::Error;
  ~CancelledError() override;
};

}  // namespace sprue
