#include "cache/directory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "sprue/error.h"

namespace sprue::cache {
namespace {

constexpr std::uint64_t kLargestEntry = std::uint64_t{1} << 30;
constexpr std::int64_t kStampInterval = 60'000'000'000;  // nanoseconds

[[noreturn]] void refuse(const std::filesystem::path& path, const std::string& problem,
                         const std::string& remedy) {
  throw CacheError(
      fmt::format("[cache] {} {}; {}, or choose another directory", path.string(), problem, remedy));
}

// A link may lead elsewhere, but not one that somebody else can point at a place of their choice.
void check_link(const std::filesystem::path& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0 || !S_ISLNK(status.st_mode)) return;
  if (status.st_uid != ::geteuid() && status.st_uid != 0) {
    refuse(path,
           fmt::format("is a symbolic link that must belong to user {} but belongs to user {}", ::geteuid(),
                       status.st_uid),
           "remove it");
  }
}

void check_private(const std::filesystem::path& path, const struct stat& status) {
  if (status.st_uid != ::geteuid()) {
    refuse(path, fmt::format("must belong to user {} but belongs to user {}", ::geteuid(), status.st_uid),
           fmt::format("run as that user, or `chown -R {} '{}'` if you trust what it holds", ::geteuid(),
                       path.string()));
  }
  if (status.st_mode & (S_IWGRP | S_IWOTH)) {
    refuse(path,
           fmt::format("must be writable by its owner alone but has mode {:04o}", status.st_mode & 07777),
           fmt::format("`chmod 700 '{}'` if you trust what it holds", path.string()));
  }
}

}  // namespace

std::string entry_file(const Key& key) {
  const std::string name = key.name();
  if (!Key::from_name(name)) throw ArgumentError(fmt::format("[cache] {} is not the name of an entry", name));
  return fmt::format("entries/{}/{}{}", name.substr(0, 2), name, kEntrySuffix);
}

std::optional<Key> key_of_file(std::string_view file) {
  file.remove_prefix(file.rfind('/') + 1);
  if (!file.ends_with(kEntrySuffix)) return std::nullopt;
  return Key::from_name(file.substr(0, file.size() - kEntrySuffix.size()));
}

Directory Directory::open(const std::filesystem::path& path) {
  Directory directory;
  directory.path_ = std::filesystem::absolute(path);
  directory.root_ = open_to_read(AT_FDCWD, directory.path_.string(), O_DIRECTORY);
  if (!directory.root_) {
    throw CacheError(fmt::format("[cache] cannot open {}: {}", path.string(), reason(errno)));
  }
  return directory;
}

std::optional<Directory> Directory::open_private(const std::filesystem::path& path, std::string& problem) {
  // Without a slash at the end, which would hide a link.
  const auto absolute = std::filesystem::absolute(path).lexically_normal();
  const auto place = absolute.has_filename() ? absolute : absolute.parent_path();
  check_link(place);
  const int create_error = make_parents(AT_FDCWD, place.string() + '/');

  Directory directory;
  directory.path_ = place;
  directory.root_ = open_to_read(AT_FDCWD, place.string(), O_DIRECTORY);
  if (!directory.root_) {
    problem = reason(create_error != 0 ? create_error : errno);
    return std::nullopt;
  }
  struct stat status {};
  if (::fstat(directory.root(), &status) != 0) {
    problem = reason(errno);
    return std::nullopt;
  }
  check_private(place, status);
  directory.writable_ = ::faccessat(directory.root(), ".", W_OK | X_OK, AT_EACCESS) == 0;
  if (!directory.writable_) problem = reason(errno);
  return directory;
}

std::optional<Entry> Directory::find(const Key& key, std::string* problem) const {
  const std::string file = entry_file(key);
  EntryFile found = read(file);
  if (found.entry) {
    const std::int64_t now = now_stamp();
    if (writable_ && std::llabs(now - found.used) > kStampInterval) set_stamp(found.file.get(), now);
    return std::move(found.entry);
  }
  if (found.problem.empty()) return std::nullopt;
  const bool aside = writable_ && found.damaged && set_aside(found.file.get(), file);
  if (problem) {
    *problem = fmt::format("{} is not used{}: {}", (path_ / file).string(), aside ? " and set aside" : "",
                           found.problem);
  }
  return std::nullopt;
}

std::vector<Key> Directory::keys(const Digest& request) const {
  const std::string digits = request.hex();
  std::vector<Key> keys;
  for (const std::string& name : names_in(root(), "entries/" + digits.substr(0, 2))) {
    if (name.compare(0, digits.size(), digits) != 0) continue;
    if (auto key = key_of_file(name)) keys.push_back(std::move(*key));
  }
  return keys;
}

int Directory::publish(const Key& key, std::string_view bytes) const {
  const std::string file = entry_file(key), aside = "tmp/" + unique_name();
  make_parents(root(), aside);
  make_parents(root(), file);
  return cache::publish(root(), aside, file, bytes, 0600);
}

std::vector<std::string> Directory::entry_files() const {
  std::vector<std::string> files;
  for (const std::string& shard : names_in(root(), "entries")) {
    for (const std::string& name : names_in(root(), "entries/" + shard))
      files.push_back("entries/" + shard + '/' + name);
  }
  return files;
}

EntryFile Directory::read(const std::string& file) const {
  EntryFile found;
  found.file = open_to_read(root(), file);
  struct stat status {};
  if (!found.file || ::fstat(found.file.get(), &status) != 0) {
    if (errno != ENOENT) found.problem = reason(errno);
    return found;
  }
  found.bytes = static_cast<std::uint64_t>(status.st_size);
  found.used = stamp_of(status);
  if (!S_ISREG(status.st_mode)) {
    found.problem = "it is no regular file";
    return found;
  }
  if (found.bytes > kLargestEntry) {
    found.problem = fmt::format("it has {} bytes, and an entry at most {}", found.bytes, kLargestEntry);
    found.damaged = true;
    return found;
  }
  const auto bytes = read_at(found.file.get(), 0, found.bytes);
  if (!bytes) {
    found.problem = reason(errno);
    return found;
  }
  found.entry = decode_entry(*bytes, &found.problem);
  if (found.entry && found.entry->key != key_of_file(file)) {
    found.problem = fmt::format("it holds the entry {}", found.entry->key.name());
    found.entry.reset();
  }
  found.damaged = !found.entry;
  return found;
}

// Between reading and renaming, another process may publish an intact entry at this path, and no call renames
// a file only if it is a certain one. So the file first takes a name that nobody else knows, and is compared
// there with the one that was read, which is still open, so its inode cannot be another's. A stranger goes
// back by link, which replaces nothing.
bool Directory::set_aside(int damaged, const std::string& file) const {
  const std::string aside = "tmp/" + unique_name();
  make_parents(root(), aside);
  if (!same_file(damaged, root(), file)) return false;
  if (::renameat(root(), file.c_str(), root(), aside.c_str()) != 0) return false;
  if (same_file(damaged, root(), aside)) {
    const std::string bad = file.substr(0, file.size() - kEntrySuffix.size()).append(kDamagedSuffix);
    return ::renameat(root(), aside.c_str(), root(), bad.c_str()) == 0;
  }
  if (::linkat(root(), aside.c_str(), root(), file.c_str(), 0) == 0 || errno == EEXIST) {
    ::unlinkat(root(), aside.c_str(), 0);
  } else {
    ::renameat(root(), aside.c_str(), root(), file.c_str());  // a file system without links
  }
  return false;
}

}  // namespace sprue::cache
