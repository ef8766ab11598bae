// The pack format. All integers are little endian.
//
//    0    8  magic
//    8    4  format
//   12    4  number of entries
//   16  112  per entry, ascending: request (32), toolchain (64, filled up with zeros), offset (8), size (8)
//        32  SHA-256 of everything before
//            the entries
#include "cache/pack.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

#include "cache/bytes.h"
#include "sprue/error.h"

namespace sprue::cache {
namespace {

constexpr std::string_view kMagic("\x7fSPACK\r\n", 8);
constexpr std::uint32_t kFormat = 1;
constexpr std::size_t kHeaderBytes = 16;
constexpr std::size_t kItemBytes = 112;
constexpr std::size_t kToolchainBytes = 64;
constexpr std::size_t kDigestBytes = 32;

// The item at the start of the bytes, if it is one of a file of `file_bytes` whose entries begin at `first`.
std::optional<Pack::Item> decode_item(std::string_view bytes, std::uint64_t first, std::uint64_t file_bytes) {
  Pack::Item item;
  std::copy_n(bytes.begin(), kDigestBytes, item.key.request.bytes.begin());
  const std::string_view toolchain = bytes.substr(kDigestBytes, kToolchainBytes);
  item.key.toolchain = toolchain.substr(0, std::min(toolchain.find('\0'), toolchain.size()));
  item.offset = get(bytes, kDigestBytes + kToolchainBytes, 8);
  item.bytes = get(bytes, kDigestBytes + kToolchainBytes + 8, 8);
  const bool inside =
      item.offset >= first && item.offset <= file_bytes && item.bytes <= file_bytes - item.offset;
  if (!inside || !Key::from_name(item.key.name())) return std::nullopt;
  return item;
}

bool before(const Pack::Item& item, const Key& key) {
  return item.key < key;
}

}  // namespace

void write_pack(const std::filesystem::path& file, std::vector<Entry> entries) {
  const auto less = [](const Entry& a, const Entry& b) { return a.key < b.key; };
  const auto same = [](const Entry& a, const Entry& b) { return a.key == b.key; };
  std::stable_sort(entries.begin(), entries.end(), less);
  entries.erase(std::unique(entries.begin(), entries.end(), same), entries.end());

  std::string out(kMagic), blobs;
  put(out, kFormat, 4);
  put(out, entries.size(), 4);
  const std::size_t first = kHeaderBytes + entries.size() * kItemBytes + kDigestBytes;
  for (const Entry& entry : entries) {
    const std::string blob = encode(entry);
    std::string toolchain = entry.key.toolchain;
    toolchain.resize(kToolchainBytes);
    out += view(entry.key.request);
    out += toolchain;
    put(out, first + blobs.size(), 8);
    put(out, blob.size(), 8);
    blobs += blob;
  }
  out += view(sha256(out));
  out += blobs;

  const std::string aside = fmt::format("{}.{}", file.string(), unique_name());
  if (const int error = publish(AT_FDCWD, aside, file.string(), out, 0644)) {
    throw CacheError(fmt::format("[cache] cannot write the pack {}: {}", file.string(), reason(error)));
  }
}

Pack::Pack(const std::filesystem::path& file) : path_(file), file_(open_to_read(AT_FDCWD, file.string())) {
  const auto refuse = [&](const std::string& why) {
    throw CacheError(fmt::format("[cache] cannot use the pack {}: {}", file.string(), why));
  };
  struct stat status {};
  if (!file_ || ::fstat(file_.get(), &status) != 0) refuse(reason(errno));
  if (!S_ISREG(status.st_mode)) refuse("it is no regular file");
  const auto file_bytes = static_cast<std::uint64_t>(status.st_size);
  const auto header = read_at(file_.get(), 0, kHeaderBytes);
  if (!header) refuse(reason(errno));
  if (header->size() < kHeaderBytes || header->compare(0, 8, kMagic) != 0)
    refuse("it does not start like a pack");
  if (const auto format = get(*header, 8, 4); format != kFormat) {
    refuse(fmt::format("its format must be {} but is {}", kFormat, format));
  }
  const std::uint64_t count = get(*header, 12, 4);
  const std::uint64_t first = kHeaderBytes + count * kItemBytes + kDigestBytes;
  if (first > file_bytes)
    refuse(fmt::format("its index of {} entries must end before byte {}", count, file_bytes));

  const auto index = read_at(file_.get(), 0, first);
  if (!index) refuse(reason(errno));
  const std::string_view body = std::string_view(*index).substr(0, first - kDigestBytes);
  if (index->size() != first || view(sha256(body)) != index->substr(body.size()))
    refuse("its index is damaged");
  items_.reserve(count);
  for (std::uint64_t i = 0; i < count; ++i) {
    auto item = decode_item(body.substr(kHeaderBytes + i * kItemBytes), first, file_bytes);
    if (!item) refuse(fmt::format("entry {} of its index is not one, or lies outside the file", i));
    if (!items_.empty() && !(items_.back().key < item->key)) refuse("its index is not in order");
    items_.push_back(std::move(*item));
  }
}

std::optional<Entry> Pack::find(const Key& key, std::string* why) const {
  const auto item = std::lower_bound(items_.begin(), items_.end(), key, before);
  if (item == items_.end() || item->key != key) return std::nullopt;
  const auto fail = [&](const std::string& problem) {
    if (why) *why = fmt::format("{} in {} is not used: {}", key.name(), path_.string(), problem);
    return std::nullopt;
  };
  const auto bytes = read_at(file_.get(), item->offset, item->bytes);
  if (!bytes) return fail(reason(errno));
  std::string problem;
  auto entry = decode_entry(*bytes, &problem);
  if (!entry) return fail(problem);
  if (entry->key != key) return fail(fmt::format("it holds the entry {}", entry->key.name()));
  return entry;
}

std::vector<Key> Pack::keys() const {
  std::vector<Key> keys;
  keys.reserve(items_.size());
  for (const Item& item : items_) keys.push_back(item.key);
  return keys;
}

std::vector<Key> Pack::keys(const Digest& request) const {
  std::vector<Key> keys;
  for (auto item = std::lower_bound(items_.begin(), items_.end(), Key{request, {}}, before);
       item != items_.end() && item->key.request == request; ++item) {
    keys.push_back(item->key);
  }
  return keys;
}

}  // namespace sprue::cache
