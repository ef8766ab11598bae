// list(): every entry of a tier, read and verified.
#include <chrono>

#include "cache/directory.h"
#include "cache/pack.h"
#include "cache/store.h"

namespace sprue::cache {
namespace {

std::chrono::system_clock::time_point time_of(std::chrono::nanoseconds since_1970) {
  return std::chrono::system_clock::time_point(
      std::chrono::duration_cast<std::chrono::system_clock::duration>(since_1970));
}

void describe(Listed& listed, std::optional<Entry> entry) {
  listed.intact = entry.has_value();
  if (!entry) return;
  listed.record = std::move(entry->record);
  listed.metadata = std::move(entry->metadata);
}

std::vector<Listed> list_pack(const std::filesystem::path& path) {
  std::vector<Listed> all;
  const Pack pack(path);
  for (const Pack::Item& item : pack.items()) {
    Listed listed{.key = item.key, .file = path, .bytes = item.bytes};
    auto entry = pack.find(item.key, &listed.problem);
    if (entry) listed.used = time_of(std::chrono::seconds(entry->created));
    describe(listed, std::move(entry));
    all.push_back(std::move(listed));
  }
  return all;
}

std::vector<Listed> list_directory(const std::filesystem::path& path) {
  std::vector<Listed> all;
  const Directory directory = Directory::open(path);
  for (const std::string& file : directory.entry_files()) {
    const auto key = key_of_file(file);
    if (!key) continue;
    EntryFile found = directory.read(file);
    if (!found.file && found.problem.empty()) continue;  // removed meanwhile
    Listed listed{.key = *key, .file = path / file, .bytes = found.bytes};
    listed.used = time_of(std::chrono::nanoseconds(found.used));
    listed.problem = std::move(found.problem);
    describe(listed, std::move(found.entry));
    all.push_back(std::move(listed));
  }
  return all;
}

}  // namespace

std::vector<Listed> list(const std::filesystem::path& tier) {
  return std::filesystem::is_regular_file(tier) ? list_pack(tier) : list_directory(tier);
}

}  // namespace sprue::cache
