#include "cache/build_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

#include "cache/directory.h"

namespace sprue::cache {

BuildLock& BuildLock::operator=(BuildLock&& other) noexcept {
  if (this != &other) {
    release();
    file_ = std::move(other.file_);
    path_ = std::move(other.path_);
  }
  return *this;
}

// The file is removed while it is still locked, so that the next holder, who compares it with its path,
// cannot be fooled.
void BuildLock::release() noexcept {
  if (!held()) return;
  ::unlink(path_.c_str());
  file_.close();
}

LockAttempt try_lock(const Directory& directory, const std::string& name) {
  const std::string path = "locks/" + name + std::string(kLockSuffix);
  make_parents(directory.root(), path);
  // Another round only if a holder removed the file between its opening and its locking here.
  for (int round = 0; round < 4; ++round) {
    Descriptor file(
        ::openat(directory.root(), path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!file) return {};
    if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
      const bool busy = errno == EWOULDBLOCK || errno == EINTR;
      return {BuildLock(), busy};
    }
    if (same_file(file.get(), directory.root(), path)) {
      return {BuildLock(std::move(file), directory.path() / path), false};
    }
  }
  return {BuildLock(), true};
}

}  // namespace sprue::cache
