// find_compiler: where libnvrtc lies on this machine. Looks at files only; loads and runs nothing.
#include <glob.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "compiler/build_id.h"
#include "compiler/compiler.h"

namespace sprue::compiler {
namespace {

namespace fs = std::filesystem;

// What other versions export differs, so the file's name must say one of these.
constexpr const char* kNames[] = {"libnvrtc.so.13", "libnvrtc.so.12"};

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

bool is_directory(const std::string& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

std::vector<std::string> split(std::string_view list, std::string_view separators) {
  std::vector<std::string> items;
  while (!list.empty()) {
    const std::size_t end = std::min(list.find_first_of(separators), list.size());
    if (end != 0) items.emplace_back(list.substr(0, end));
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return items;
}

std::vector<std::string> matches(const std::string& pattern) {
  std::vector<std::string> found;
  glob_t result = {};
  if (::glob(pattern.c_str(), 0, nullptr, &result) == 0)
    found.assign(result.gl_pathv, result.gl_pathv + result.gl_pathc);
  ::globfree(&result);
  return found;
}

/// "13.0" of "/usr/local/cuda-13.0" as a number that orders versions.
int version_of(const std::string& toolkit) {
  const std::string text = toolkit.substr(toolkit.rfind('-') + 1);
  char* end = nullptr;
  const long major = std::strtol(text.c_str(), &end, 10);
  const long minor = *end == '.' ? std::strtol(end + 1, nullptr, 10) : 0;
  return static_cast<int>(major * 1000 + minor);
}

/// One walk through the places, in order, until one of them has a usable library. The functions return
/// whether it has.
class Walk {
 public:
  explicit Walk(std::vector<std::string>* tried) : tried_(tried) {}

  CompilerIdentity found;

  bool file(const std::string& path, const std::string& reason) {
    const BuildId id = read_build_id(path);
    if (id.hex.empty()) return report(path, reason, id.problem);
    found = {path, id.hex};
    report(path, reason, "build id " + id.hex);
    return true;
  }

  bool directory(const std::string& path, const std::string& reason) {
    bool any = false;
    for (const char* name : kNames) {
      const std::string candidate = path + '/' + name;
      if (::access(candidate.c_str(), F_OK) != 0) continue;
      if (file(candidate, reason)) return true;
      any = true;
    }
    if (any) return false;
    return report(path, reason,
                  is_directory(path) ? "no libnvrtc.so.13 or libnvrtc.so.12" : "no such directory");
  }

  bool given(const std::string& path) {
    const std::string reason = "SPRUE_NVRTC or RuntimeOptions::nvrtc";
    if (!is_directory(path)) return file(path, reason);
    return directory(path, reason) || directory(path + "/lib64", reason) || directory(path + "/lib", reason);
  }

  bool toolkit(const std::string& root, const std::string& reason) {
    if (root.empty()) return false;
    return directory(root + "/lib64", reason) || directory(root + "/lib", reason);
  }

  bool newest_toolkit(const std::string& pattern) {
    std::vector<std::string> roots = matches(pattern);
    std::stable_sort(roots.begin(), roots.end(), [](const std::string& a, const std::string& b) {
      return version_of(a) > version_of(b);
    });
    return std::any_of(roots.begin(), roots.end(),
                       [&](const std::string& root) { return toolkit(root, "toolkit"); });
  }

  /// The loader's cache is a table followed by NUL-terminated paths; only the paths matter here.
  bool loader_cache(const std::string& cache) {
    std::ifstream stream(cache, std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(stream), {}};
    for (const char* name : kNames) {
      const std::string ending = '/' + std::string(name) + '\0';
      for (std::size_t at = bytes.find(ending); at != std::string::npos; at = bytes.find(ending, at + 1)) {
        const std::size_t begin = bytes.rfind('\0', at) + 1;
        if (file(bytes.substr(begin, at + ending.size() - 1 - begin), cache)) return true;
      }
    }
    return report(cache, "dynamic loader", "names no libnvrtc.so.13 or libnvrtc.so.12");
  }

  /// NVIDIA's pip packages below one Python installation.
  bool python(const std::string& prefix, const std::string& reason) {
    if (prefix.empty()) return false;
    const std::string packages = prefix + "/lib/python3*/*-packages/nvidia";
    for (const std::string& nvidia : matches(packages)) {
      for (const char* library : {"/cu13/lib", "/cuda_nvrtc/lib"}) {
        if (is_directory(nvidia + library) && directory(nvidia + library, reason)) return true;
      }
    }
    return report(packages, reason, "no usable cu13 or cuda_nvrtc");
  }

 private:
  bool report(const std::string& place, const std::string& reason, const std::string& finding) {
    if (tried_) tried_->push_back(place + " (" + reason + "): " + finding);
    return false;
  }

  std::vector<std::string>* tried_;
};

/// The installations that own the first `python3` on PATH: of the name itself (a virtual environment), then
/// of the file that it links to.
std::vector<std::string> python_prefixes() {
  for (const std::string& directory : split(environment("PATH"), ":")) {
    const fs::path python = fs::path(directory) / "python3";
    if (::access(python.c_str(), X_OK) != 0) continue;
    std::error_code failed;
    const fs::path target = fs::canonical(python, failed);
    std::vector<std::string> prefixes = {fs::path(directory).parent_path().string()};
    if (!failed && target.parent_path().parent_path() != prefixes[0]) {
      prefixes.push_back(target.parent_path().parent_path().string());
    }
    return prefixes;
  }
  return {};
}

bool look_everywhere(Walk& walk, const std::string& root) {
  if (walk.toolkit(environment("CUDA_HOME"), "CUDA_HOME") ||
      walk.toolkit(environment("CUDA_PATH"), "CUDA_PATH") ||
      walk.toolkit(root + "/usr/local/cuda", "toolkit") || walk.newest_toolkit(root + "/usr/local/cuda-*")) {
    return true;
  }
  for (const std::string& directory : split(environment("LD_LIBRARY_PATH"), ":;")) {
    if (walk.directory(directory, "LD_LIBRARY_PATH")) return true;
  }
  if (walk.loader_cache(root + "/etc/ld.so.cache")) return true;
  if (walk.python(environment("VIRTUAL_ENV"), "VIRTUAL_ENV")) return true;
  for (const std::string& prefix : python_prefixes()) {
    if (walk.python(prefix, "python3 on PATH")) return true;
  }
  const std::string conda = environment("CONDA_PREFIX"), home = environment("HOME");
  if (!conda.empty() && walk.directory(conda + "/lib", "CONDA_PREFIX")) return true;
  if (walk.python(conda, "CONDA_PREFIX")) return true;
  if (!home.empty() && walk.python(home + "/.local", "user's pip")) return true;
  return walk.python(root + "/usr/local", "system's pip") || walk.python(root + "/usr", "system's pip");
}

}  // namespace

std::optional<CompilerIdentity> find_compiler(const CompilerSearch& search, std::vector<std::string>* tried) {
  Walk walk(tried);
  const bool found =
      search.nvrtc.empty() ? look_everywhere(walk, search.system_root) : walk.given(search.nvrtc);
  if (!found) return std::nullopt;
  return std::move(walk.found);
}

}  // namespace sprue::compiler
