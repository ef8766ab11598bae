// The documents name files that exist, and list every environment variable that the code reads.
#include <cctype>
#include <set>

#include "support/catch.h"
#include "tree/files.h"

namespace sprue::tree {
namespace {

std::vector<File> documents() {
  return {read(root / "README.md"), read(root / "CHANGELOG.md")};
}

/// The texts between `open` and `close`, line by line.
std::vector<std::string> between(const File& file, std::string_view open, std::string_view close) {
  std::vector<std::string> found;
  for (const std::string& line : file.lines) {
    for (auto at = line.find(open); at != std::string::npos; at = line.find(open, at)) {
      at += open.size();
      const auto end = line.find(close, at);
      if (end == std::string::npos) break;
      found.push_back(line.substr(at, end - at));
      at = end + close.size();
    }
  }
  return found;
}

/// "src/ops/rms_norm.cpp" and the like: a path below one of the top-level folders, with no placeholder in it.
bool names_a_path(std::string_view text) {
  for (const std::string_view top :
       {"src/", "kernel_templates/", "cache/", "tools/", "tests/", "cmake/", ".ci/"}) {
    if (text.substr(0, top.size()) == top) return text.find_first_of(" *<>{}$…") == std::string_view::npos;
  }
  return false;
}

/// "SPRUE_CACHE_DIR" in `text` from `at`, or nothing.
std::string variable_at(const std::string& text, std::size_t at) {
  std::size_t end = at;
  while (end < text.size() && (std::isupper(static_cast<unsigned char>(text[end])) || text[end] == '_'))
    ++end;
  return text.substr(at, end - at);
}

}  // namespace

TEST_CASE("links and paths in the documents exist") {
  for (const File& file : documents()) {
    INFO(file.path);
    CHECK(!file.lines.empty());
    for (std::string link : between(file, "](", ")")) {
      if (link.find("://") != std::string::npos || link.front() == '#') continue;
      link = link.substr(0, link.find('#'));
      INFO(link);
      CHECK(exists(root / link));
    }
    for (const std::string& code : between(file, "`", "`")) {
      if (!names_a_path(code)) continue;
      INFO(code);
      CHECK(exists(root / code));
    }
  }
}

TEST_CASE("the README lists every environment variable that the code reads") {
  std::set<std::string> read_by_code, listed;
  for (const File& file : read_all({"src", "cache", "tools"}, {".cpp", ".h"})) {
    for (const std::string& text : between(file, "\"", "\"")) {
      if (text.size() > 6 && text.compare(0, 6, "SPRUE_") == 0 && variable_at(text, 0) == text) {
        read_by_code.insert(text);
      }
    }
  }
  for (const std::string& line : read(root / "README.md").lines) {
    if (line.compare(0, 9, "| `SPRUE_") == 0) listed.insert(variable_at(line, 3));
  }
  CHECK(!listed.empty());
  CHECK(read_by_code == listed);
}

}  // namespace sprue::tree
