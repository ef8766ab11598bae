// Small text files that several processes share: read whole, replaced in one step.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace sprue::codegen {

/// Nothing if there is no such file; ArgumentError if it cannot be read or exceeds 16 MiB.
std::optional<std::string> read_text_file(const std::filesystem::path& path);
/// Written aside and renamed: readers see the old text or the new one. ArgumentError if that cannot be done.
void write_text_file(const std::filesystem::path& path, std::string_view text);

/// Keeps other holders out of the directory of `path` while it reads, changes and writes a file there. Gives
/// up waiting after a second, and on file systems without locks, because a lost update is better than a
/// process that hangs.
class DirectoryLock {
 public:
  explicit DirectoryLock(const std::filesystem::path& path);
  ~DirectoryLock();
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;

 private:
  int descriptor_;
};

}  // namespace sprue::codegen
