// The repository's files, for the rules that read them.
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace sprue::tree {

inline const std::filesystem::path root = SPRUE_SOURCE_DIR;

struct File {
  std::string path;  ///< From the root: "src/core/digest.cpp".
  std::vector<std::string> lines;
};

inline File read(const std::filesystem::path& path) {
  File file{path.lexically_relative(root).generic_string(), {}};
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) file.lines.push_back(line);
  return file;
}

/// Every file below the folders that has one of the extensions, ordered by path.
inline std::vector<File> read_all(std::initializer_list<std::string_view> folders,
                                  std::initializer_list<std::string_view> extensions) {
  std::vector<File> files;
  for (const std::string_view folder : folders) {
    if (!exists(root / folder)) continue;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root / folder)) {
      const std::string extension = entry.path().extension().string();
      const bool wanted = std::find(extensions.begin(), extensions.end(), extension) != extensions.end();
      if (entry.is_regular_file() && wanted) files.push_back(read(entry.path()));
    }
  }
  std::sort(files.begin(), files.end(), [](const File& a, const File& b) { return a.path < b.path; });
  return files;
}

}  // namespace sprue::tree
