// TemplateStore: the embedded texts, and a directory that overrides them.
#include "codegen/store.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "codegen/embedded.h"
#include "sprue/error.h"

namespace sprue::codegen {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxFiles = 4096;  // a directory given by mistake, such as /, is refused
constexpr std::uintmax_t kMaxFileBytes = 1 << 24;

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  if (!in) throw ArgumentError(fmt::format("the template {} cannot be read", path.string()));
  return std::move(text).str();
}

bool is_template_file(const fs::path& path) {
  return path.extension() == ".cu" || path.extension() == ".cuh" || path.extension() == ".json";
}

}  // namespace

TemplateStore::TemplateStore(std::map<std::string, std::string, std::less<>> files)
    : files_(std::move(files)) {}

TemplateStore TemplateStore::embedded() {
  std::map<std::string, std::string, std::less<>> files;
  for (const EmbeddedText& piece : embedded_texts()) files[piece.path] += piece.text;
  return TemplateStore(std::move(files));
}

TemplateStore TemplateStore::with_overrides(const fs::path& directory) {
  TemplateStore store = embedded();
  std::error_code error;
  if (!fs::is_directory(directory, error)) {
    throw ArgumentError(fmt::format("the template directory {} is not a directory", directory.string()));
  }
  std::size_t count = 0;
  for (fs::recursive_directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    if (++count > kMaxFiles) {
      throw ArgumentError(
          fmt::format("the template directory {} holds more than {} files; it should hold "
                      "<family>/<kernel>.cu and .json only",
                      directory.string(), kMaxFiles));
    }
    std::error_code ignored;
    if (!is_template_file(it->path()) || it->symlink_status(ignored).type() != fs::file_type::regular)
      continue;
    if (it->file_size(ignored) > kMaxFileBytes) {
      throw ArgumentError(fmt::format("the template {} must have at most {} bytes, but has {}",
                                      it->path().string(), kMaxFileBytes, it->file_size(ignored)));
    }
    store.files_[it->path().lexically_relative(directory).generic_string()] = read_file(it->path());
  }
  if (error) {
    throw ArgumentError(
        fmt::format("the template directory {} cannot be read: {}", directory.string(), error.message()));
  }
  return store;
}

const std::string* TemplateStore::find(std::string_view path) const {
  const auto it = files_.find(path);
  return it == files_.end() ? nullptr : &it->second;
}

std::vector<std::string> TemplateStore::paths() const {
  std::vector<std::string> names;
  for (const auto& [path, text] : files_) names.push_back(path);
  return names;
}

}  // namespace sprue::codegen
