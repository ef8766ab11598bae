// Directory: one cache directory, by its open descriptor. The home of the layout and of every step on its
// files; keeps no state between calls, so it is safe to use from several threads and processes.
//
//   entries/<ab>/<name>.sprue   one entry; ab are the first digits of its name; modification time: when last
//   used entries/<ab>/<name>.bad     a damaged entry, set aside locks/<name>.lock           locked (flock)
//   while a process builds the entry; its holder removes it tmp/<process>-<random>      being written, or
//   left by a writer that was killed
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cache/entry.h"
#include "cache/file.h"

namespace sprue::cache {

constexpr std::string_view kEntrySuffix = ".sprue";
constexpr std::string_view kDamagedSuffix = ".bad";
constexpr std::string_view kLockSuffix = ".lock";

/// One entry's file as it was found.
struct EntryFile {
  Descriptor file;  ///< Not open: there is no such file.
  std::uint64_t bytes = 0;
  std::int64_t used = 0;       ///< Its stamp.
  std::optional<Entry> entry;  ///< Verified.
  std::string problem;         ///< Why there is a file but no entry.
  bool damaged = false;        ///< The file could be read, but holds something else than this entry.
};

class Directory {
 public:
  /// For reading, whoever owns it. CacheError if it cannot be opened.
  static Directory open(const std::filesystem::path& path);
  /// For writing, created with mode 0700 where missing. CacheError, with what to do, if it belongs to
  /// somebody else or others may write to it. If it cannot be opened: nothing; if it cannot be written: not
  /// writable(); `problem` says why.
  static std::optional<Directory> open_private(const std::filesystem::path& path, std::string& problem);

  const std::filesystem::path& path() const { return path_; }
  int root() const { return root_.get(); }
  bool writable() const { return writable_; }

  /// The entry, verified. Where writable, a hit is stamped and a damaged file is set aside. `problem`: what
  /// went wrong.
  std::optional<Entry> find(const Key& key, std::string* problem = nullptr) const;
  /// The keys of a request's entries, by any toolchain.
  std::vector<Key> keys(const Digest& request) const;
  /// Makes the bytes the content of an entry. 0, or the error.
  int publish(const Key& key, std::string_view bytes) const;

  /// Everything below entries/, sorted, as paths relative to root().
  std::vector<std::string> entry_files() const;
  /// Reads and verifies one of them.
  EntryFile read(const std::string& file) const;
  /// Renames a damaged entry's file to .bad, if its path still names the file that is open. Never takes away
  /// an entry that another process has published since.
  bool set_aside(int damaged, const std::string& file) const;

 private:
  std::filesystem::path path_;
  Descriptor root_;
  bool writable_ = false;
};

/// "entries/ab/<name>.sprue"; ArgumentError for a key that is none.
std::string entry_file(const Key& key);
/// The key of an entry's file by its name; nothing for other files.
std::optional<Key> key_of_file(std::string_view file);

}  // namespace sprue::cache
