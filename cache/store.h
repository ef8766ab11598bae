// Store: the kernel cache on disk, in tiers: one private writable directory, then read-only directories and
// packs. Thread-safe and process-safe. A broken cache is a slow cache: find and insert never throw, they
// report to the log sink.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cache/build_lock.h"
#include "cache/entry.h"
#include "sprue/log.h"

namespace sprue::cache {

struct StoreOptions {
  /// The writable tier, created with mode 0700; empty: none.
  std::filesystem::path directory = {};
  /// Directories of the same layout, or pack files, in order. They are trusted, whoever owns them.
  std::vector<std::filesystem::path> read_only = {};
  /// Of the writable tier; least recently used goes first. 0: no limit.
  std::uint64_t limit_bytes = std::uint64_t{1} << 30;
  /// The longest find_or_lock waits for another process.
  std::chrono::milliseconds lock_wait{20'000};
  LogSink log = {};
};

enum class Tier { directory, read_only };

struct Found {
  Entry entry;
  Tier tier = Tier::directory;
};

/// Either the entry (another process built it meanwhile) or the turn to build it; `lock` may be unheld when
/// locking is impossible or took too long.
struct FoundOrLock {
  std::optional<Found> found;
  BuildLock lock;
};

class Store {
 public:
  /// CacheError, with what to do, if `directory` belongs to somebody else or others may write to it. A
  /// directory that cannot be created or written, or a bad read-only tier, is only a warning: the store then
  /// works without it.
  explicit Store(StoreOptions options);
  ~Store();

  /// The entry, verified; nothing if absent or damaged. A damaged file of the writable tier is set aside as
  /// <name>.bad, but only if it is still the one that was read.
  std::optional<Found> find(const Key& key);
  /// The newest intact entry for a request from any toolchain, by Entry::created: for machines without a
  /// compiler.
  std::optional<Found> find_any_toolchain(const Digest& request);
  /// Keep the lock until the entry is inserted or the build has failed.
  FoundOrLock find_or_lock(const Key& key);
  /// Publishes atomically (write aside, fsync, rename) and evicts beyond the limit. False, and a warning, if
  /// it could not; false alone without a writable tier.
  bool insert(const Entry& entry);

  const StoreOptions& options() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// One file of a tier, for `sprue cache ls|verify`.
struct Listed {
  Key key;
  std::filesystem::path file;  ///< The entry's file, or the pack that holds it.
  std::uint64_t bytes = 0;
  std::chrono::system_clock::time_point used = {};  ///< In a pack: when it was created.
  bool intact = false;
  std::string problem = {};  ///< Why it is not intact.
  Fields record = {}, metadata = {};
};

/// Every entry below a directory or in a pack, sorted by name; each is read and verified. Read-only.
/// CacheError if the tier cannot be opened.
std::vector<Listed> list(const std::filesystem::path& tier);

struct GcResult {
  std::uint64_t removed_entries = 0, removed_bytes = 0;
  std::uint64_t kept_entries = 0, kept_bytes = 0;
  std::uint64_t removed_leftovers = 0;
};
/// Removes least recently used entries until at most `limit_bytes` remain (0: all), locks that nobody holds,
/// and, once they are an hour old, damaged files that were set aside and files of killed writers. CacheError
/// if the directory cannot be opened.
GcResult collect(const std::filesystem::path& directory, std::uint64_t limit_bytes);

}  // namespace sprue::cache
