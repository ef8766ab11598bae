#include "cache/sweep.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "cache/build_lock.h"

namespace sprue::cache {
namespace {

constexpr std::int64_t kLeftoverAge = 3'600'000'000'000;  // nanoseconds

struct Candidate {
  std::string file;
  std::uint64_t bytes = 0;
  std::int64_t used = 0;
};

bool stat_file(const Directory& directory, const std::string& file, struct stat& status) {
  return ::fstatat(directory.root(), file.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
         !S_ISDIR(status.st_mode);
}

// A stamp far in the future, from before the clock was set back, is no younger than one far in the past.
bool is_old(const Directory& directory, const std::string& file, std::int64_t now) {
  struct stat status {};
  return stat_file(directory, file, status) && std::llabs(now - stamp_of(status)) > kLeftoverAge;
}

bool remove(const Directory& directory, const std::string& file) {
  return ::unlinkat(directory.root(), file.c_str(), 0) == 0;
}

// Unless it was used or published again since it was listed.
bool evict(const Directory& directory, const Candidate& candidate) {
  struct stat status {};
  return stat_file(directory, candidate.file, status) && stamp_of(status) == candidate.used &&
         remove(directory, candidate.file);
}

std::uint64_t remove_leftovers(const Directory& directory, const std::vector<std::string>& files,
                               std::int64_t now) {
  std::uint64_t removed = 0;
  for (const std::string& file : files) {
    if (file.ends_with(kDamagedSuffix) && is_old(directory, file, now)) removed += remove(directory, file);
  }
  for (const std::string& name : names_in(directory.root(), "tmp")) {
    const std::string file = "tmp/" + name;
    if (is_old(directory, file, now)) removed += remove(directory, file);
  }
  for (const std::string& name : names_in(directory.root(), "locks")) {
    if (!name.ends_with(kLockSuffix)) continue;
    // Taking the lock and letting go of it removes the file.
    removed += try_lock(directory, name.substr(0, name.size() - kLockSuffix.size())).lock.held();
  }
  return removed;
}

}  // namespace

GcResult sweep(const Directory& directory, std::uint64_t limit, std::uint64_t target) {
  const std::int64_t now = now_stamp();
  const std::vector<std::string> files = directory.entry_files();
  GcResult result;
  result.removed_leftovers = remove_leftovers(directory, files, now);

  std::vector<Candidate> candidates;
  for (const std::string& file : files) {
    struct stat status {};
    if (!key_of_file(file) || !stat_file(directory, file, status)) continue;
    candidates.push_back({file, static_cast<std::uint64_t>(status.st_size), stamp_of(status)});
    // A stamp of the future becomes now, so that it ages from now on like any other.
    if (candidates.back().used > now) {
      set_stamp(directory.root(), file, now);
      candidates.back().used = now;
    }
    result.kept_bytes += candidates.back().bytes;
  }
  result.kept_entries = candidates.size();
  if (result.kept_bytes <= limit) return result;

  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const Candidate& a, const Candidate& b) { return a.used < b.used; });
  for (const Candidate& candidate : candidates) {
    if (result.kept_bytes <= target) break;
    if (!evict(directory, candidate)) continue;
    result.removed_entries += 1;
    result.removed_bytes += candidate.bytes;
    result.kept_entries -= 1;
    result.kept_bytes -= candidate.bytes;
  }
  return result;
}

GcResult collect(const std::filesystem::path& directory, std::uint64_t limit_bytes) {
  return sweep(Directory::open(directory), limit_bytes, limit_bytes);
}

}  // namespace sprue::cache
