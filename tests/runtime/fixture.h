// What the runtime's tests share: a scratch directory with a tiny kernel's template, and options that use it.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <mutex>
#include <string>

#include "runtime/runtime_impl.h"
#include "support/nvrtc.h"

namespace sprue {

namespace fs = std::filesystem;

inline constexpr const char* kTinyBody =
    "extern \"C\" __global__ void tiny(int* out) { out[threadIdx.x] = kValue + kWarps; }\n";

class Fixture {
 public:
  Fixture() {
    std::string path = (fs::temp_directory_path() / "sprue-runtime-XXXXXX").string();
    directory = mkdtemp(path.data());
    write_template(kTinyBody);
    write("templates/test/tiny.json", R"({
      "kernel": "tiny", "operator": "tiny", "summary": "for tests", "architectures": ["sm_80", "sm_90"],
      "problem": {"VALUE": {"integer": {"min": 0, "max": 100}, "doc": "what is added"}},
      "schedule": {"WARPS": {"integer": [1, 2, 4, 8], "doc": "warps per block"}},
      "rules": [{"rule": "WARPS <= 4 || VALUE != 13", "reason": "13 brings bad luck"}],
      "launch": {"threads": "32 * WARPS", "shared_bytes": "256 * WARPS", "rows_per_block": "WARPS"},
      "defaults": [{"when": "VALUE > 50", "schedule": {"WARPS": 4}}, {"schedule": {"WARPS": 1}}]})");
  }
  ~Fixture() {
    std::error_code ignored;
    fs::remove_all(directory, ignored);
  }
  Fixture(const Fixture&) = delete;
  Fixture& operator=(const Fixture&) = delete;

  void write(const fs::path& name, const std::string& text) const {
    fs::create_directories((directory / name).parent_path());
    std::ofstream(directory / name, std::ios::binary) << text;
  }
  std::string read(const fs::path& name) const {
    std::ifstream file(directory / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void write_template(const std::string& body) const {
    write("templates/test/tiny.cu",
          "// Problem: what is computed.\nconstexpr int kValue = ${VALUE};\n\n"
          "// Schedule: how.\nconstexpr int kWarps = ${WARPS};\n\n" +
              body);
  }
  RuntimeOptions options() {
    RuntimeOptions options;
    options.cache_directory = directory / "cache";
    options.template_directory = directory / "templates";
    options.nvrtc = nvrtc_search().nvrtc;
    options.log = [this](LogLevel, std::string_view message) {
      const std::lock_guard lock(mutex_);
      log_ += std::string(message) + '\n';
    };
    return options;
  }
  RuntimeOptions without_compiler() {
    RuntimeOptions changed = options();
    changed.nvrtc = (directory / "nowhere").string();
    return changed;
  }
  std::string log() const {
    const std::lock_guard lock(mutex_);
    return log_;
  }

  fs::path directory;

 private:
  mutable std::mutex mutex_;
  std::string log_;
};

inline Built build_tiny(RuntimeImpl& runtime, std::int64_t value, const Values& schedule = {}) {
  const Architecture arch = architecture("sm_90");
  return runtime.build(runtime.specify({"tiny", {{"VALUE", value}}, schedule}, arch), arch);
}

}  // namespace sprue
