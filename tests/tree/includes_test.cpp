// Includes point one way, and each third-party header has one home.
#include <map>
#include <set>

#include "support/catch.h"
#include "tree/files.h"

namespace sprue::tree {
namespace {

using Names = std::set<std::string, std::less<>>;

/// Folder → the folders that its files may include beside their own and the public headers.
const std::map<std::string, Names, std::less<>> arrows = {
    {"include", {}},
    {"core", {}},
    {"cache", {"core"}},
    {"codegen", {"core"}},
    {"compiler", {"core"}},
    {"driver", {"core"}},
    {"runtime", {"core", "cache", "codegen", "compiler", "driver"}},
    {"ops", {"core", "cache", "codegen", "compiler", "driver", "runtime"}},
    {"tune", {"core", "cache", "codegen", "compiler", "driver", "runtime", "ops"}},
    {"c_api", {"core", "cache", "codegen", "compiler", "driver", "runtime", "ops", "tune"}},
    {"tools", {"core", "cache", "codegen", "compiler", "driver", "runtime", "ops", "tune", "c_api"}},
};

/// Header, or the start of its path → where it may be included.
const std::map<std::string, std::vector<std::string>, std::less<>> homes = {
    {"cuda.h", {"src/driver/", "tests/emulator/driver.h"}},
    {"cudaTypedefs.h", {"src/driver/"}},
    {"nvrtc.h", {"src/compiler/", "tests/emulator/nvrtc_shim.cpp"}},
    {"openssl/", {"src/core/digest.cpp"}},
    {"nlohmann/", {"src/codegen/", "tools/"}},
    {"CLI/", {"tools/"}},
    {"iostream", {"tools/"}},
    {"regex", {}},
    {"cuda_runtime.h", {}},
    {"catch2/", {}},
};

/// "src/core/digest.cpp" → "core"; "tools/commands/run.cpp" → "tools"
std::string folder_of(std::string_view path) {
  if (path.substr(0, 4) == "src/") path.remove_prefix(4);
  return std::string(path.substr(0, path.find('/')));
}

bool starts_with_any(std::string_view text, const std::vector<std::string>& starts) {
  return std::any_of(starts.begin(), starts.end(),
                     [&](const auto& s) { return text.substr(0, s.size()) == s; });
}

struct Include {
  std::string header;
  bool angled = false;
};

std::vector<Include> includes_of(const File& file) {
  std::vector<Include> found;
  for (const std::string& line : file.lines) {
    const auto hash = line.find_first_not_of(" \t");
    if (hash == std::string::npos || line[hash] != '#') continue;
    const auto word = line.find_first_not_of(" \t", hash + 1);
    if (word == std::string::npos || line.compare(word, 7, "include") != 0) continue;
    const auto open = line.find_first_of("<\"", word);
    const auto close = open == std::string::npos ? open : line.find_first_of(">\"", open + 1);
    if (close != std::string::npos) {
      found.push_back({line.substr(open + 1, close - open - 1), line[open] == '<'});
    }
  }
  return found;
}

/// What is wrong with this include, or nothing.
std::string objection(const File& file, const Include& include) {
  for (const auto& [header, places] : homes) {
    const bool is_path = header.back() == '/';
    const bool same =
        is_path ? include.header.compare(0, header.size(), header) == 0 : include.header == header;
    if (same && !starts_with_any(file.path, places)) return include.header + " has another home";
  }
  const std::string from = folder_of(file.path);
  if (include.angled) {
    const bool third_party = include.header.find('/') != std::string::npos;
    return from == "include" && third_party ? "public headers include the standard library alone" : "";
  }
  const bool is_public = include.header.compare(0, 6, "sprue/") == 0;
  const std::string to = is_public ? "include" : folder_of(include.header);
  if (is_public || from == to) return "";
  if (!arrows.count(to))
    return from == "tools" ? "" : "includes are written from src/ or the root: \"core/digest.h\"";
  return arrows.at(from).count(to) ? "" : from + " may not include " + to;
}

/// The file says what it is for, or begins with its own header, which does.
bool introduces_itself(const File& file) {
  const std::string& first = file.lines.empty() ? file.path : file.lines.front();
  if (first.compare(0, 3, "// ") == 0 || first.compare(0, 3, "/* ") == 0) return true;
  const std::string own_header = std::filesystem::path(file.path).stem().string() + ".h\"";
  return first.compare(0, 8, "#include") == 0 && first.size() > own_header.size() &&
         first.compare(first.size() - own_header.size(), own_header.size(), own_header) == 0;
}

}  // namespace

TEST_CASE("includes point one way") {
  const auto files = read_all({"src", "cache", "tools"}, {".h", ".cpp", ".c"});
  REQUIRE(files.size() > 20);
  for (const File& file : files) {
    INFO(file.path);
    if (!arrows.count(folder_of(file.path))) {
      FAIL_CHECK("no rule says what this folder may include");
      continue;
    }
    for (const Include& include : includes_of(file)) {
      INFO("#include " << include.header);
      CHECK(objection(file, include) == "");
    }
  }
}

TEST_CASE("the include rules refuse what the design forbids") {
  const auto refused = [](const std::string& path, const std::string& line) {
    const File file{path, {line}};
    REQUIRE(includes_of(file).size() == 1);
    return objection(file, includes_of(file).front()) != "";
  };
  CHECK(refused("src/codegen/render.cpp", "#include \"cache/entry.h\""));
  CHECK(refused("cache/store.cpp", "#include \"compiler/compiler.h\""));
  CHECK(refused("src/compiler/compiler.cpp", "#include \"driver/driver.h\""));
  CHECK(refused("src/core/values.cpp", "#include \"runtime/runtime_impl.h\""));
  CHECK(refused("src/runtime/build.cpp", "  #  include <cuda.h>"));
  CHECK(refused("src/include/sprue/ops.h", "#include <cuda.h>"));
  CHECK(refused("src/include/sprue/ops.h", "#include \"core/values.h\""));
  CHECK(refused("src/include/sprue/ops.h", "#include <fmt/core.h>"));
  CHECK(refused("src/core/values.cpp", "#include <openssl/evp.h>"));
  CHECK(refused("src/runtime/record.cpp", "#include <nlohmann/json.hpp>"));
  CHECK_FALSE(refused("src/core/digest.cpp", "#include <openssl/evp.h>"));
  CHECK_FALSE(refused("src/runtime/build.cpp", "#include \"cache/store.h\""));
  CHECK_FALSE(refused("tools/commands/run.cpp", "#include <CLI/CLI.hpp>"));
}

TEST_CASE("a file's first line says which job it has") {
  for (const File& file : read_all({"src", "cache", "tools", "tests", "kernel_templates"},
                                   {".h", ".cpp", ".c", ".cu", ".cuh"})) {
    INFO(file.path);
    CHECK(introduces_itself(file));
    if (file.lines.size() > 300)
      WARN(file.path << " has " << file.lines.size() << " lines: look for two jobs");
  }
}

}  // namespace sprue::tree
