// Pack: many entries in one read-only file with a sorted index, for images and fleets. Entries are read when
// they are found and not mapped: a pack that is overwritten in place becomes a miss, where a mapping would
// kill the process.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cache/entry.h"
#include "cache/file.h"

namespace sprue::cache {

/// Writes a pack atomically; entries are sorted, and of those with one key the first is kept. CacheError if
/// it cannot be written.
void write_pack(const std::filesystem::path& file, std::vector<Entry> entries);

/// Thread-safe.
class Pack {
 public:
  struct Item {
    Key key;
    std::uint64_t offset = 0, bytes = 0;
  };

  /// CacheError if the file is no pack or its index is damaged; entries are verified when they are found.
  explicit Pack(const std::filesystem::path& file);

  /// The entry, verified; nothing, and `why` filled, if it is damaged; nothing if it is not there.
  std::optional<Entry> find(const Key& key, std::string* why = nullptr) const;
  std::vector<Key> keys() const;
  /// The keys of a request's entries, by any toolchain.
  std::vector<Key> keys(const Digest& request) const;
  std::size_t size() const { return items_.size(); }
  /// The index, sorted by key.
  const std::vector<Item>& items() const { return items_; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  Descriptor file_;
  std::vector<Item> items_;
};

}  // namespace sprue::cache
