#include "sprue/error.h"

#include <fmt/format.h>

namespace sprue {
namespace {

std::string at(const std::string& file, int line, int column, const std::string& message) {
  if (line == 0) return fmt::format("{}: {}", file, message);
  if (column == 0) return fmt::format("{}:{}: {}", file, line, message);
  return fmt::format("{}:{}:{}: {}", file, line, column, message);
}

}  // namespace

// Out of line, so that the type information of every error has one home and can be caught across library borders.
Error::~Error() = default;
ArgumentError::~ArgumentError() = default;
TemplateError::~TemplateError() = default;
CompileError::~CompileError() = default;
CudaError::~CudaError() = default;
CacheError::~CacheError() = default;
NotPrewarmedError::~NotPrewarmedError() = default;
CaptureError::~CaptureError() = default;
CancelledError::~CancelledError() = default;

TemplateError::TemplateError(std::string file_name, int line_number, int column_number, const std::string& message)
    : Error(at(file_name, line_number, column_number, message)),
      file(std::move(file_name)),
      line(line_number),
      column(column_number) {}

CompileError::CompileError(const std::string& message, std::string log_text, std::string source_text,
                           std::string option_text, std::string reproduce_line)
    : Error(message),
      log(std::move(log_text)),
      source(std::move(source_text)),
      options(std::move(option_text)),
      reproduce(std::move(reproduce_line)) {}

CudaError::CudaError(const std::string& message, int cuda_code) : Error(message), code(cuda_code) {}

}  // namespace sprue
