// BuildLock: who builds an entry, agreed between processes. It can only save work: not holding it is never an
// error.
#pragma once

#include <string>

#include "cache/file.h"

namespace sprue::cache {

class Directory;

/// Held while one process builds an entry, so that others wait for the result instead of building it too.
/// Released on destruction and, by the kernel, when the process dies.
class BuildLock {
 public:
  BuildLock() = default;
  BuildLock(Descriptor file, std::string path) : file_(std::move(file)), path_(std::move(path)) {}
  BuildLock(BuildLock&& other) noexcept = default;
  BuildLock& operator=(BuildLock&& other) noexcept;
  ~BuildLock() { release(); }
  bool held() const { return static_cast<bool>(file_); }

 private:
  void release() noexcept;

  Descriptor file_;
  std::string path_;
};

struct LockAttempt {
  BuildLock lock;     ///< Unheld if it is another's, or if locking is impossible here.
  bool busy = false;  ///< It is another's.
};

/// Never waits.
LockAttempt try_lock(const Directory& directory, const std::string& name);

}  // namespace sprue::cache
