#include "exit_codes.h"

#include "sprue/error.h"

namespace sprue::tools {
namespace {

template <class Kind>
bool is(const std::exception& error) {
  return dynamic_cast<const Kind*>(&error) != nullptr;
}

}  // namespace

const char* const kExitCodeHelp =
    "Exit codes:\n"
    "    0  done\n"
    "    1  unexpected error\n"
    "    2  wrong arguments, options, environment variables or spec\n"
    "    3  a template, a manifest or a JSON file is wrong\n"
    "    4  a kernel does not compile, or there is no compiler\n"
    "    5  a CUDA call failed, or there is no usable GPU or driver\n"
    "    6  the kernel cache is damaged or cannot be used\n"
    "    7  a kernel is not prewarmed although SPRUE_REQUIRE_PREWARMED asks for it\n"
    "    8  a check failed: the command did its work, and the answer is no\n"
    "  130  interrupted\n";

ExitCode exit_code(const std::exception& error) {
  if (is<ArgumentError>(error)) return kUsage;
  if (is<TemplateError>(error)) return kTemplate;
  if (is<CompileError>(error)) return kCompile;
  if (is<CudaError>(error) || is<CaptureError>(error)) return kCuda;
  if (is<CacheError>(error)) return kCache;
  if (is<NotPrewarmedError>(error)) return kNotPrewarmed;
  if (is<CancelledError>(error)) return kInterrupted;
  return kUnexpected;
}

}  // namespace sprue::tools
