// find_compiler: the order of the places and what it says about each of them.
#include <algorithm>
#include <array>
#include <chrono>
#include <map>
#include <optional>

#include "compiler/compiler.h"
#include "compiler/fake_library.h"
#include "sprue/error.h"
#include "support/catch.h"
#include "support/nvrtc.h"

using namespace sprue::compiler;

namespace {

/// Every variable that the search reads is unset, except those given; restored at the end.
class Environment {
 public:
  explicit Environment(const std::map<std::string, std::string>& given) {
    for (const char* name : kNames) {
      if (const char* value = std::getenv(name)) saved_[name] = value;
      unsetenv(name);
      if (const auto found = given.find(name); found != given.end()) setenv(name, found->second.c_str(), 1);
    }
  }
  ~Environment() {
    for (const char* name : kNames) {
      unsetenv(name);
      if (const auto found = saved_.find(name); found != saved_.end()) setenv(name, found->second.c_str(), 1);
    }
  }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  static constexpr const char* kNames[] = {
      "CUDA_HOME", "CUDA_PATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "PATH", "CONDA_PREFIX", "HOME"};
  std::map<std::string, std::string> saved_;
};

struct Finding {
  std::optional<CompilerIdentity> identity;
  std::string tried;
  std::string path() const { return identity ? identity->path : ""; }
};

Finding find(const CompilerSearch& search) {
  std::vector<std::string> tried;
  Finding finding{find_compiler(search, &tried), {}};
  for (const std::string& line : tried) finding.tried += line + '\n';
  return finding;
}

const std::string kLibrary = fake_library("12345678");

}  // namespace

TEST_CASE("a library that is given by file or directory is used") {
  const TemporaryDirectory tree;
  write_file(tree / "any-name.so", kLibrary);
  write_file(tree / "lib64/libnvrtc.so.12", kLibrary);
  CHECK(find({.nvrtc = tree / "any-name.so"}).path() == tree / "any-name.so");
  CHECK(find({.nvrtc = tree / "any-name.so"}).identity->build_id == "3132333435363738");
  CHECK(find({.nvrtc = tree / "lib64"}).path() == tree / "lib64/libnvrtc.so.12");
  CHECK(find({.nvrtc = tree / "."}).path() == tree / "./lib64/libnvrtc.so.12");
}

TEST_CASE("when a library is given, nothing else is tried") {
  const TemporaryDirectory tree;
  write_file(tree / "cuda/lib64/libnvrtc.so.13", kLibrary);
  const Environment environment({{"CUDA_HOME", tree / "cuda"}});
  const Finding finding = find({.nvrtc = tree / "nowhere", .system_root = tree / "root"});
  CHECK_FALSE(finding.identity);
  CHECK(finding.tried == tree / "nowhere (SPRUE_NVRTC or RuntimeOptions::nvrtc): not a readable file\n");
}

TEST_CASE("every place is looked at in the documented order") {
  const TemporaryDirectory tree;
  const Environment environment({{"CUDA_HOME", tree / "home"},
                                 {"CUDA_PATH", tree / "path"},
                                 {"LD_LIBRARY_PATH", tree / "empty" + ":" + tree / "loader"},
                                 {"VIRTUAL_ENV", tree / "venv"},
                                 {"PATH", tree / "nothing" + ":" + tree / "link/bin"},
                                 {"CONDA_PREFIX", tree / "conda"},
                                 {"HOME", tree / "user"}});
  write_file(tree / "python/bin/python3.11", "");
  std::filesystem::permissions(tree / "python/bin/python3.11", std::filesystem::perms::owner_all);
  std::filesystem::create_directories(tree / "link/bin");
  std::filesystem::create_symlink(tree / "python/bin/python3.11", tree / "link/bin/python3");
  write_file(tree / "root/etc/ld.so.cache",
             "table\0" + tree / "gone/libnvrtc.so.13" + '\0' + tree / "cached/libnvrtc.so.13" + '\0');

  // From the last place to the first: each one, once it exists, is preferred to all those before it.
  for (const char* place :
       {"root/usr/lib/python3/dist-packages/nvidia/cu13/lib/libnvrtc.so.13",
        "root/usr/local/lib/python3.11/dist-packages/nvidia/cu13/lib/libnvrtc.so.13",
        "user/.local/lib/python3.11/site-packages/nvidia/cu13/lib/libnvrtc.so.13",
        "conda/lib/python3.12/site-packages/nvidia/cuda_nvrtc/lib/libnvrtc.so.12", "conda/lib/libnvrtc.so.13",
        "python/lib/python3.11/site-packages/nvidia/cu13/lib/libnvrtc.so.13",
        "link/lib/python3.11/site-packages/nvidia/cuda_nvrtc/lib/libnvrtc.so.12",
        "venv/lib/python3.11/site-packages/nvidia/cuda_nvrtc/lib/libnvrtc.so.12",
        "venv/lib/python3.11/site-packages/nvidia/cu13/lib/libnvrtc.so.13", "cached/libnvrtc.so.13",
        "loader/libnvrtc.so.12", "root/usr/local/cuda-9.2/lib64/libnvrtc.so.12",
        "root/usr/local/cuda-12.9/lib64/libnvrtc.so.12", "root/usr/local/cuda-12.10/lib64/libnvrtc.so.12",
        "root/usr/local/cuda/lib64/libnvrtc.so.12", "path/lib64/libnvrtc.so.13", "home/lib/libnvrtc.so.13",
        "home/lib64/libnvrtc.so.12", "home/lib64/libnvrtc.so.13"}) {
    write_file(tree / place, kLibrary);
    const Finding finding = find({.system_root = tree / "root"});
    INFO(finding.tried);
    CHECK(finding.path() == tree / place);
  }
}

TEST_CASE("a broken library is passed over and named") {
  const TemporaryDirectory tree;
  const Environment environment({{"CUDA_HOME", tree / "home"}, {"CUDA_PATH", tree / "path"}});
  write_file(tree / "home/lib64/libnvrtc.so.13", "oops");
  write_file(tree / "path/lib64/libnvrtc.so.13", kLibrary);
  const Finding finding = find({.system_root = tree / "root"});
  CHECK(finding.path() == tree / "path/lib64/libnvrtc.so.13");
  CHECK_THAT(finding.tried, Contains(tree / "home/lib64/libnvrtc.so.13 (CUDA_HOME): not an ELF file"));
  CHECK_THAT(finding.tried, Contains(tree / "home/lib (CUDA_HOME): no such directory"));
  CHECK_THAT(finding.tried,
             Contains(tree / "path/lib64/libnvrtc.so.13 (CUDA_PATH): build id 3132333435363738"));
}

TEST_CASE("the error for a machine without NVRTC says what to do and lists every place") {
  const TemporaryDirectory tree;
  const Environment environment({{"CUDA_HOME", tree / "home"}, {"VIRTUAL_ENV", tree / "venv"}});
  std::filesystem::create_directories(tree / "home/lib64");
  const CompilerSearch search = {.system_root = tree / "root"};
  CHECK_THROWS_AS(Compiler(search), sprue::CompileError);
  CHECK_THROWS_WITH(Compiler(search),
                    StartsWith("no usable NVRTC (libnvrtc.so.13 or libnvrtc.so.12) was found: install") &&
                        Contains("SPRUE_NVRTC") &&
                        Contains(tree / "home/lib64 (CUDA_HOME): no libnvrtc.so.13") &&
                        Contains(tree / "root/usr/local/cuda/lib64 (toolkit): no such directory") &&
                        Contains(tree / "root/etc/ld.so.cache (dynamic loader)") &&
                        Contains(tree / "venv/lib/python3*/*-packages/nvidia (VIRTUAL_ENV)"));
}

TEST_CASE("a library that cannot be loaded, or that is no NVRTC, is an error that names it") {
  const TemporaryDirectory tree;
  write_file(tree / "libnvrtc.so.13", kLibrary);
  CHECK_THROWS_WITH(Compiler({.nvrtc = tree / "."}),
                    StartsWith("NVRTC at " + tree / "./libnvrtc.so.13 cannot be loaded: "));
}

TEST_CASE("finding a library in the first place takes less than 100 microseconds") {
  const TemporaryDirectory tree;
  write_file(tree / "lib64/libnvrtc.so.13", kLibrary);
  const Environment environment({{"CUDA_HOME", tree / "."}});
  double best_us = 1e9;
  for (int i = 0; i < 20; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    REQUIRE(find_compiler({}));
    best_us = std::min(
        best_us, std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin).count());
  }
  CHECK(best_us < 100);
}

TEST_CASE("the library found on this machine is the one that loads") {
  SKIP_WITHOUT_NVRTC();
  const Compiler compiler(nvrtc_search());
  const auto identity = find_compiler(nvrtc_search());
  CHECK(compiler.identity().path == identity->path);
  CHECK(compiler.identity().build_id == identity->build_id);
  CHECK(std::stoi(compiler.version()) >= 12);
}
