// Template stores: what is embedded, and what a directory overrides.
#include "codegen/store.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "samples.h"
#include "support/catch.h"

namespace sprue::codegen {
namespace {

namespace fs = std::filesystem;

struct Directory {
  fs::path path = fs::temp_directory_path() / ("sprue_store_test_" + std::to_string(::getpid()));
  Directory() { fs::create_directories(path); }
  ~Directory() { fs::remove_all(path); }

  void write(const fs::path& name, const std::string& text) const {
    fs::create_directories((path / name).parent_path());
    std::ofstream(path / name, std::ios::binary) << text;
  }
};

}  // namespace

TEST_CASE("the embedded texts are the files of kernel_templates, byte by byte") {
  const fs::path root = fs::path(SPRUE_SOURCE_DIR) / "kernel_templates";
  const TemplateStore store = TemplateStore::embedded();
  std::size_t files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    const std::string extension = entry.path().extension().string();
    if (extension != ".cu" && extension != ".cuh" && extension != ".json") continue;
    const std::string name = entry.path().lexically_relative(root).generic_string();
    INFO(name);
    std::ifstream in(entry.path(), std::ios::binary);
    const std::string text(std::istreambuf_iterator<char>(in), {});
    REQUIRE(store.find(name) != nullptr);
    CHECK((*store.find(name) == text));  // not expanded: the texts are long
    ++files;
  }
  CHECK(store.paths().size() == files);
  CHECK(files > 0);
}

TEST_CASE("a directory replaces embedded texts and adds new ones") {
  const std::string some = TemplateStore::embedded().paths().front();
  const Directory directory;
  directory.write(some, "replaced");
  directory.write("sample/scale.cu", "added");
  directory.write("sample/notes.txt", "not a template");
  fs::create_symlink("/etc/hostname", directory.path / "sample/link.cu");
  const TemplateStore store = TemplateStore::with_overrides(directory.path);
  REQUIRE(store.find(some) != nullptr);
  CHECK(*store.find(some) == "replaced");
  REQUIRE(store.find("sample/scale.cu") != nullptr);
  CHECK(*store.find("sample/scale.cu") == "added");
  CHECK(store.find("sample/notes.txt") == nullptr);
  CHECK(store.find("sample/link.cu") == nullptr);
  CHECK(store.paths().size() == TemplateStore::embedded().paths().size() + 1);
}

TEST_CASE("a template directory must be one") {
  CHECK(error_of([] { TemplateStore::with_overrides("/nonexistent/templates"); }) ==
        "the template directory /nonexistent/templates is not a directory");
}

}  // namespace sprue::codegen
