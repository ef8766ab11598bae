// What the cache tests share: a scratch directory, sample entries, files as bytes, child processes, small
// mounts.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "cache/entry.h"
#include "cache/store.h"

namespace sprue::cache {

namespace fs = std::filesystem;

/// A new directory, removed with all its content at the end of the scope.
class Scratch {
 public:
  Scratch();
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  fs::path operator/(const char* name) const { return path_ / name; }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

/// A file system in memory, mounted for the scope where this process may mount.
class Mount {
 public:
  explicit Mount(const fs::path& place, const std::string& options);
  ~Mount();
  Mount(const Mount&) = delete;
  Mount& operator=(const Mount&) = delete;
  bool mounted() const { return mounted_; }
  bool make_read_only() const;

 private:
  fs::path place_;
  bool mounted_ = false;
};

/// Collects what a store reports.
class Messages {
 public:
  LogSink sink();
  /// All of them, one a line.
  std::string text() const;

 private:
  mutable std::mutex mutex_;
  std::string text_;
};

constexpr const char* kToolchain = "0123456789abcdef";

/// The n-th sample; its image has `image_bytes` bytes.
Entry sample(int n, std::size_t image_bytes = 1000, const std::string& toolchain = kToolchain);

std::string read_file(const fs::path& file);
void write_file(const fs::path& file, const std::string& bytes);
/// Where a store in `directory` keeps an entry.
fs::path file_of(const fs::path& directory, const Key& key);
/// How many files below a directory end like this.
int count_files(const fs::path& directory, const std::string& suffix);
/// Sets a file's modification time relative to now.
void set_age(const fs::path& file, std::chrono::seconds age);
std::chrono::seconds age_of(const fs::path& file);

/// Runs `body` in a child process, which exits with its result. The parent must have a single thread.
pid_t start(const std::function<int()>& body);
/// The child's exit status, or minus the signal that ended it.
int finish(pid_t child);

}  // namespace sprue::cache
