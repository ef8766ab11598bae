#include "compiler/nvrtc_api.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <filesystem>

#include "sprue/error.h"

namespace sprue::compiler {
namespace {

/// NVRTC opens its built-ins by bare name, which finds them beside it only if it was not reached through a
/// link. Opened here first, they are found everywhere. Absence shows at the first compile.
void open_builtins(const std::string& path, const std::string& name) {
  std::error_code failed;
  const std::filesystem::path given = path, real = std::filesystem::canonical(given, failed);
  if (dlopen((given.parent_path() / name).c_str(), RTLD_NOW | RTLD_LOCAL) || failed) return;
  dlopen((real.parent_path() / name).c_str(), RTLD_NOW | RTLD_LOCAL);
}

}  // namespace

std::string builtins_name(const NvrtcApi& api) {
  return "libnvrtc-builtins.so." + api.version();
}

NvrtcApi load_nvrtc(const std::string& path) {
  void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) throw CompileError(fmt::format("NVRTC at {} cannot be loaded: {}", path, dlerror()));

  NvrtcApi api;
#define SPRUE_RESOLVE(name)                                               \
  api.name = reinterpret_cast<decltype(api.name)>(dlsym(library, #name)); \
  if (!api.name)                                                          \
    throw CompileError(fmt::format("{} must be NVRTC 12.0 or later, but has no {}", path, #name));
  SPRUE_NVRTC_FUNCTIONS(SPRUE_RESOLVE)
#undef SPRUE_RESOLVE
  api.nvrtcSetFlowCallback =
      reinterpret_cast<decltype(api.nvrtcSetFlowCallback)>(dlsym(library, "nvrtcSetFlowCallback"));

  if (const nvrtcResult result = api.nvrtcVersion(&api.major, &api.minor); result != NVRTC_SUCCESS) {
    throw CompileError(fmt::format("NVRTC at {} does not work: {}", path, api.nvrtcGetErrorString(result)));
  }
  if (!api.at_least(12, 0)) {
    throw CompileError(fmt::format("NVRTC must be version 12.0 or later, but {} is {}", path, api.version()));
  }
  open_builtins(path, builtins_name(api));
  return api;
}

}  // namespace sprue::compiler
