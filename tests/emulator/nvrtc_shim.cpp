// libnvrtc.so.13 for the emulator: the real NVRTC, but what it is asked for as a cubin is PTX.
//
// The real one is SPRUE_EMULATED_NVRTC, else what src/compiler finds without SPRUE_NVRTC.
#include <dlfcn.h>
#include <nvrtc.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <optional>
#include <string>
#include <vector>

#include "compiler/compiler.h"
#include "compiler/nvrtc_api.h"

namespace {

struct Real : sprue::compiler::NvrtcApi {
  decltype(&::nvrtcGetPTXSize) nvrtcGetPTXSize = nullptr;
  decltype(&::nvrtcGetPTX) nvrtcGetPTX = nullptr;
};

std::optional<Real> open_real() {
  const char* const given = std::getenv("SPRUE_EMULATED_NVRTC");
  try {
    const auto found = sprue::compiler::find_compiler({.nvrtc = given != nullptr ? given : ""});
    if (!found) return std::nullopt;
    Real real{sprue::compiler::load_nvrtc(found->path)};
    void* const library = dlopen(found->path.c_str(), RTLD_NOW | RTLD_LOCAL);
    real.nvrtcGetPTXSize = reinterpret_cast<decltype(&::nvrtcGetPTXSize)>(dlsym(library, "nvrtcGetPTXSize"));
    real.nvrtcGetPTX = reinterpret_cast<decltype(&::nvrtcGetPTX)>(dlsym(library, "nvrtcGetPTX"));
    return real;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "the emulator's NVRTC: %s\n", error.what());
    return std::nullopt;
  }
}

const std::optional<Real>& real() {
  static const std::optional<Real> opened = open_real();
  return opened;
}

/// Calls the real function of that name.
#define REAL(name, ...) (real() ? real()->name(__VA_ARGS__) : NVRTC_ERROR_INTERNAL_ERROR)

std::string ptx_of(nvrtcProgram program) {
  std::size_t bytes = 0;
  if (REAL(nvrtcGetPTXSize, program, &bytes) != NVRTC_SUCCESS) return {};
  std::string text(bytes, '\0');
  return REAL(nvrtcGetPTX, program, text.data()) == NVRTC_SUCCESS ? text : std::string();
}

/// What ptxas -v would say, of every kernel in `ptx`: numbers that Sprue reads, none of them true.
std::string messages_of(const std::string& ptx) {
  std::string text;
  const std::string mark = ".entry ";
  for (std::size_t at = ptx.find(mark); at != ptx.npos; at = ptx.find(mark, at + 1)) {
    const std::size_t begin = at + mark.size();
    const std::string name = ptx.substr(begin, ptx.find_first_of("(\n \t", begin) - begin);
    text += "ptxas info    : Compiling entry function '" + name +
            "' for 'emulator'\nptxas info    : Function properties for " + name +
            "\n    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\nptxas info    : Used 32 "
            "registers\n";
  }
  return text;
}

std::string log_of(nvrtcProgram program) {
  std::size_t bytes = 0;
  std::string text;
  if (REAL(nvrtcGetProgramLogSize, program, &bytes) == NVRTC_SUCCESS && bytes > 1) {
    text.resize(bytes);
    if (REAL(nvrtcGetProgramLog, program, text.data()) != NVRTC_SUCCESS) text.clear();
    if (!text.empty()) text.pop_back();
  }
  return text + messages_of(ptx_of(program));
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

nvrtcResult nvrtcVersion(int* major, int* minor) {
  return REAL(nvrtcVersion, major, minor);
}
const char* nvrtcGetErrorString(nvrtcResult result) {
  return real() ? real()->nvrtcGetErrorString(result) : "no real NVRTC was found: set SPRUE_EMULATED_NVRTC";
}
nvrtcResult nvrtcGetNumSupportedArchs(int* count) {
  return REAL(nvrtcGetNumSupportedArchs, count);
}
nvrtcResult nvrtcGetSupportedArchs(int* archs) {
  return REAL(nvrtcGetSupportedArchs, archs);
}
nvrtcResult nvrtcCreateProgram(nvrtcProgram* program, const char* source, const char* name, int count,
                               const char* const* headers, const char* const* include_names) {
  return REAL(nvrtcCreateProgram, program, source, name, count, headers, include_names);
}
nvrtcResult nvrtcDestroyProgram(nvrtcProgram* program) {
  return REAL(nvrtcDestroyProgram, program);
}

nvrtcResult nvrtcCompileProgram(nvrtcProgram program, int count, const char* const* given) {
  std::vector<std::string> options;
  for (int i = 0; i < count; ++i) {
    std::string option = given[i];
    const std::string real_architecture = "--gpu-architecture=sm_";
    if (option.starts_with("--ptxas-options")) continue;
    if (option.starts_with(real_architecture))
      option = "--gpu-architecture=compute_" + option.substr(real_architecture.size());
    options.push_back(std::move(option));
  }
  std::vector<const char*> pointers;
  for (const std::string& option : options) pointers.push_back(option.c_str());
  return REAL(nvrtcCompileProgram, program, static_cast<int>(pointers.size()), pointers.data());
}

nvrtcResult nvrtcGetProgramLogSize(nvrtcProgram program, std::size_t* bytes) {
  *bytes = log_of(program).size() + 1;
  return NVRTC_SUCCESS;
}
nvrtcResult nvrtcGetProgramLog(nvrtcProgram program, char* log) {
  const std::string text = log_of(program);
  std::memcpy(log, text.c_str(), text.size() + 1);
  return NVRTC_SUCCESS;
}
nvrtcResult nvrtcGetCUBINSize(nvrtcProgram program, std::size_t* bytes) {
  return REAL(nvrtcGetPTXSize, program, bytes);
}
nvrtcResult nvrtcGetCUBIN(nvrtcProgram program, char* cubin) {
  return REAL(nvrtcGetPTX, program, cubin);
}
nvrtcResult nvrtcSetFlowCallback(nvrtcProgram program, int (*callback)(void*, void*), void* payload) {
  if (!real() || real()->nvrtcSetFlowCallback == nullptr) return NVRTC_SUCCESS;
  return real()->nvrtcSetFlowCallback(program, callback, payload);
}

}  // extern "C"
#pragma GCC visibility pop
