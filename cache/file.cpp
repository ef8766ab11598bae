#include "cache/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <system_error>

namespace sprue::cache {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

bool write_all(int file, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

std::string parent(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == path.npos ? "." : path.substr(0, slash + 1);
}

struct FileTimes {
  explicit FileTimes(std::int64_t stamp) {
    values[0].tv_nsec = UTIME_OMIT;
    values[1].tv_sec = stamp / kSecond;
    values[1].tv_nsec = stamp % kSecond;
  }
  timespec values[2] = {};
};

}  // namespace

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  if (this != &other) {
    close();
    number_ = other.release();
  }
  return *this;
}

int Descriptor::release() {
  const int number = number_;
  number_ = -1;
  return number;
}

bool Descriptor::close() {
  const int number = release();
  return number < 0 || ::close(number) == 0;
}

std::string reason(int error) {
  return std::generic_category().message(error);
}

std::string unique_name() {
  std::uint64_t number = 0;
  if (::getrandom(&number, sizeof number, 0) != sizeof number) number = now_stamp();
  return fmt::format("{}-{:016x}", ::getpid(), number);
}

Descriptor open_to_read(int root, const std::string& path, int flags) {
  return Descriptor(::openat(root, path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | flags));
}

std::optional<std::string> read_at(int file, std::uint64_t offset, std::size_t bytes) {
  std::string text(bytes, '\0');
  std::size_t done = 0;
  while (done < bytes) {
    const ssize_t got = ::pread(file, text.data() + done, bytes - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return std::nullopt;
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  text.resize(done);
  return text;
}

bool same_file(int file, int root, const std::string& path) {
  struct stat open;
  struct stat named;
  return ::fstat(file, &open) == 0 && ::fstatat(root, path.c_str(), &named, AT_SYMLINK_NOFOLLOW) == 0 &&
         open.st_dev == named.st_dev && open.st_ino == named.st_ino;
}

std::vector<std::string> names_in(int root, const std::string& directory) {
  std::vector<std::string> names;
  Descriptor descriptor = open_to_read(root, directory, O_DIRECTORY);
  DIR* stream = descriptor ? ::fdopendir(descriptor.get()) : nullptr;
  if (!stream) return names;
  descriptor.release();  // the stream owns it
  while (const dirent* item = ::readdir(stream)) {
    if (item->d_name[0] != '.') names.emplace_back(item->d_name);
  }
  ::closedir(stream);
  std::sort(names.begin(), names.end());
  return names;
}

int make_parents(int root, const std::string& path) {
  int error = 0;
  for (auto slash = path.find('/', 1); slash != path.npos; slash = path.find('/', slash + 1)) {
    const bool made = ::mkdirat(root, path.substr(0, slash).c_str(), 0700) == 0 || errno == EEXIST;
    if (!made && error == 0) error = errno;
  }
  return error;
}

int publish(int root, const std::string& aside, const std::string& path, std::string_view bytes,
            mode_t mode) {
  Descriptor file(::openat(root, aside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
  if (!file) return errno;
  const bool written = write_all(file.get(), bytes) && ::fsync(file.get()) == 0;
  const int write_error = errno;
  const bool closed = file.close();
  int error = !written ? write_error : !closed ? errno : 0;
  if (error == 0 && ::renameat(root, aside.c_str(), root, path.c_str()) != 0) error = errno;
  if (error != 0) {
    ::unlinkat(root, aside.c_str(), 0);
    return error;
  }
  const Descriptor directory = open_to_read(root, parent(path), O_DIRECTORY);
  if (directory) ::fsync(directory.get());
  return 0;
}

std::int64_t stamp_of(const struct stat& status) {
  return status.st_mtim.tv_sec * kSecond + status.st_mtim.tv_nsec;
}

std::int64_t now_stamp() {
  return std::chrono::nanoseconds(std::chrono::system_clock::now().time_since_epoch()).count();
}

void set_stamp(int file, std::int64_t stamp) {
  ::futimens(file, FileTimes(stamp).values);
}

void set_stamp(int root, const std::string& path, std::int64_t stamp) {
  ::utimensat(root, path.c_str(), FileTimes(stamp).values, AT_SYMLINK_NOFOLLOW);
}

}  // namespace sprue::cache
