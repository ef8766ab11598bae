#include "compiler/compiler.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>

#include "compiler/diagnostics.h"
#include "compiler/nvrtc_api.h"
#include "sprue/error.h"

namespace sprue::compiler {
namespace {

std::string join(const std::vector<std::string>& items, std::string_view separator) {
  std::string text;
  for (const std::string& item : items) {
    if (!text.empty()) text += separator;
    text += item;
  }
  return text;
}

/// Options that cannot change the cubin, and that some versions refuse or plain nvcc does not have.
std::vector<std::string> call_options(const NvrtcApi& api) {
  std::vector<std::string> options = {
      "--modify-stack-limit=false"};                         // setrlimit would act on the whole process
  if (api.at_least(12, 9)) options.push_back("--no-cache");  // a hit there would have no ptxas messages
  return options;
}

CompilerIdentity locate(const CompilerSearch& search) {
  std::vector<std::string> tried;
  if (auto found = find_compiler(search, &tried)) return *std::move(found);
  throw CompileError(
      fmt::format("no usable NVRTC (libnvrtc.so.13 or libnvrtc.so.12) was found: install the CUDA toolkit or "
                  "the Python package "
                  "nvidia-cuda-nvrtc, or set SPRUE_NVRTC to the library or its directory. Looked at:\n  {}",
                  join(tried, "\n  ")));
}

struct Program {
  explicit Program(const NvrtcApi& nvrtc) : api(nvrtc) {}
  ~Program() {
    if (handle) api.nvrtcDestroyProgram(&handle);
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  std::string log() const {
    std::size_t bytes = 0;
    if (!handle || api.nvrtcGetProgramLogSize(handle, &bytes) != NVRTC_SUCCESS || bytes <= 1) return {};
    std::string text(bytes, '\0');
    if (api.nvrtcGetProgramLog(handle, text.data()) != NVRTC_SUCCESS) return {};
    text.resize(bytes - 1);  // NVRTC counts the terminating NUL
    return text;
  }

  const NvrtcApi& api;
  nvrtcProgram handle = nullptr;
};

/// Asks the caller, from NVRTC's threads, whether to stop; the first "yes" or exception is final.
class StopRequest {
 public:
  explicit StopRequest(const Compiler::Cancelled& cancelled) : cancelled_(cancelled) {}

  bool poll() noexcept {
    if (stop_.load(std::memory_order_acquire)) return true;
    if (!cancelled_) return false;
    try {
      if (!cancelled_()) return false;
    } catch (...) {
      if (!claimed_.exchange(true)) failure_ = std::current_exception();
    }
    stop_.store(true, std::memory_order_release);
    return true;
  }

  /// What the caller's function threw, or a CancelledError if it asked to stop.
  void deliver(std::string_view kernel, const Architecture& arch) {
    if (!poll()) return;
    if (failure_) std::rethrow_exception(failure_);
    throw CancelledError(fmt::format("[{}] compiling for {} was cancelled", kernel, arch.name()));
  }

  static int callback(void* self, void*) { return static_cast<StopRequest*>(self)->poll() ? 1 : 0; }

 private:
  const Compiler::Cancelled& cancelled_;
  std::atomic<bool> stop_ = false;
  std::atomic<bool> claimed_ = false;
  std::exception_ptr failure_;
};

}  // namespace

struct Compiler::State {
  CompilerIdentity identity;
  NvrtcApi api;
  std::vector<std::string> architectures;
};

Compiler::Compiler(const CompilerSearch& search) : state_(std::make_unique<State>()) {
  state_->identity = locate(search);
  const NvrtcApi& api = state_->api = load_nvrtc(state_->identity.path);
  int count = 0;
  if (api.nvrtcGetNumSupportedArchs(&count) != NVRTC_SUCCESS) return;
  std::vector<int> numbers(static_cast<std::size_t>(count));
  if (api.nvrtcGetSupportedArchs(numbers.data()) != NVRTC_SUCCESS) return;
  for (const int sm : numbers) {
    const std::string name = fmt::format("sm_{}", sm);
    state_->architectures.push_back(name);
    if (sm >= 90) state_->architectures.push_back(name + 'a');
    if (sm >= 100 && api.at_least(12, 9)) state_->architectures.push_back(name + 'f');
  }
}

Compiler::~Compiler() = default;

std::string Compiler::version() const {
  return state_->api.version();
}
const CompilerIdentity& Compiler::identity() const {
  return state_->identity;
}
const std::vector<std::string>& Compiler::architectures() const {
  return state_->architectures;
}

Cubin Compiler::compile(const Source& source, const Architecture& arch, const Cancelled& cancelled) const {
  const NvrtcApi& api = state_->api;
  const std::string& kernel = source.spec.kernel;
  const std::string file = kernel + ".cu";  // fixed, because it changes the cubin

  const std::vector<std::string> canonical = compile_options(arch);
  std::vector<std::string> options = canonical;
  for (std::string& option : call_options(api)) options.push_back(std::move(option));
  std::vector<const char*> option_pointers;
  for (const std::string& option : options) option_pointers.push_back(option.c_str());

  std::string log;
  const std::string reproduce = fmt::format("nvcc -cubin -o /dev/null {} {}", join(canonical, " "), file);
  const auto fail = [&](const std::string& problem) {
    throw CompileError(fmt::format("[{}] {}", kernel, problem), log, source.text, join(options, " "),
                       reproduce);
  };

  const auto& known = state_->architectures;
  if (std::find(known.begin(), known.end(), arch.name()) == known.end()) {
    fail(fmt::format("the architecture must be one that NVRTC {} can build for ({}), but is {}", version(),
                     join(known, ", "), arch.name()));
  }

  StopRequest stop(cancelled);
  stop.deliver(kernel, arch);
  const auto begin = std::chrono::steady_clock::now();
  Program program(api);
  nvrtcResult result =
      api.nvrtcCreateProgram(&program.handle, source.text.c_str(), file.c_str(), 0, nullptr, nullptr);
  if (result == NVRTC_SUCCESS) {
    if (api.nvrtcSetFlowCallback) api.nvrtcSetFlowCallback(program.handle, &StopRequest::callback, &stop);
    result =
        api.nvrtcCompileProgram(program.handle, static_cast<int>(options.size()), option_pointers.data());
    log = program.log();
    stop.deliver(kernel, arch);
  }
  if (result == NVRTC_ERROR_BUILTIN_OPERATION_FAILURE) {
    fail(fmt::format("NVRTC {} at {} needs {} beside it: {}", version(), identity().path, builtins_name(api),
                     first_error(log)));
  }
  if (result != NVRTC_SUCCESS) {
    const std::string_view error = log.empty() ? api.nvrtcGetErrorString(result) : first_error(log);
    fail(fmt::format(
        "NVRTC {} cannot compile this source for {}: {}\n{}save the source of this error as {} and run: {}",
        version(), arch.name(), error, numbered_excerpt(source.text, log), file, reproduce));
  }

  Cubin cubin;
  std::size_t bytes = 0;
  result = api.nvrtcGetCUBINSize(program.handle, &bytes);
  cubin.image.resize(bytes);
  if (result == NVRTC_SUCCESS) result = api.nvrtcGetCUBIN(program.handle, cubin.image.data());
  if (result != NVRTC_SUCCESS || bytes == 0) {
    fail(fmt::format("NVRTC {} gave no cubin: {}", version(), api.nvrtcGetErrorString(result)));
  }
  cubin.resources = parse_resources(log, kernel);
  cubin.log = std::move(log);
  cubin.compile_ms =
      std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
  return cubin;
}

std::vector<std::string> compile_options(const Architecture& arch) {
  return {"--gpu-architecture=" + arch.name(), "--std=c++20", "--ptxas-options=-v"};
}

}  // namespace sprue::compiler
