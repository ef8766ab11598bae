// NvrtcApi: the functions of a loaded libnvrtc. Together with compiler.cpp the only home of nvrtc.h.
#pragma once

#include <nvrtc.h>

#include <string>

namespace sprue::compiler {

// What every NVRTC since 12.0 has and Sprue calls.
#define SPRUE_NVRTC_FUNCTIONS(X) \
  X(nvrtcVersion)                \
  X(nvrtcGetErrorString)         \
  X(nvrtcGetNumSupportedArchs)   \
  X(nvrtcGetSupportedArchs)      \
  X(nvrtcCreateProgram)          \
  X(nvrtcDestroyProgram)         \
  X(nvrtcCompileProgram)         \
  X(nvrtcGetProgramLogSize)      \
  X(nvrtcGetProgramLog)          \
  X(nvrtcGetCUBINSize)           \
  X(nvrtcGetCUBIN)

struct NvrtcApi {
#define SPRUE_MEMBER(name) decltype(&::name) name = nullptr;
  SPRUE_NVRTC_FUNCTIONS(SPRUE_MEMBER)
#undef SPRUE_MEMBER
  /// Since 12.8; nullptr before. Spelled out because older headers do not declare it.
  nvrtcResult (*nvrtcSetFlowCallback)(nvrtcProgram, int (*)(void*, void*), void*) = nullptr;

  int major = 0, minor = 0;

  bool at_least(int wanted_major, int wanted_minor) const {
    return major > wanted_major || (major == wanted_major && minor >= wanted_minor);
  }
  std::string version() const {
    return std::to_string(major) + '.' + std::to_string(minor);
  }
};

/// Opens the library at `path`; it stays loaded until the process ends. CompileError when it cannot be used.
NvrtcApi load_nvrtc(const std::string& path);

/// "libnvrtc-builtins.so.13.0": the second file that NVRTC cannot work without.
std::string builtins_name(const NvrtcApi& api);

}  // namespace sprue::compiler
