// Small text files that several processes share: read whole, replaced in one step.
#include "codegen/text_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <fstream>
#include <system_error>
#include <thread>

#include "sprue/error.h"

namespace sprue::codegen {
namespace {

namespace fs = std::filesystem;

constexpr std::uintmax_t kMaxFileBytes = 16 << 20;

std::string reason(int error) {
  return std::generic_category().message(error);
}

[[noreturn]] void cannot(const char* verb, const fs::path& path, const std::string& why) {
  throw ArgumentError(fmt::format("{} cannot be {}: {}", path.string(), verb, why));
}

fs::path directory_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

}  // namespace

std::optional<std::string> read_text_file(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found) return std::nullopt;
  if (status.type() != fs::file_type::regular)
    cannot("read", path, error ? error.message() : "it is no regular file");
  const std::uintmax_t bytes = fs::file_size(path, error);
  if (error) cannot("read", path, error.message());
  if (bytes > kMaxFileBytes)
    cannot("read", path, fmt::format("it has {} bytes, and at most {} are read", bytes, kMaxFileBytes));
  std::string text(bytes, '\0');
  std::ifstream in(path, std::ios::binary);
  in.read(text.data(), static_cast<std::streamsize>(bytes));
  if (!in) cannot("read", path, reason(errno));
  return text;
}

void write_text_file(const fs::path& path, std::string_view text) {
  static std::atomic<int> count{0};
  const std::string aside = fmt::format("{}.{}.{}.tmp", path.string(), ::getpid(), ++count);
  const int file = ::open(aside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (file < 0) cannot("written", path, reason(errno));
  int error = 0;
  while (!text.empty() && error == 0) {
    const ssize_t written = ::write(file, text.data(), text.size());
    if (written > 0) text.remove_prefix(static_cast<std::size_t>(written));
    if (written < 0 && errno != EINTR) error = errno;
  }
  if (error == 0 && ::fsync(file) != 0) error = errno;
  if (::close(file) != 0 && error == 0) error = errno;
  if (error == 0 && ::rename(aside.c_str(), path.c_str()) != 0) error = errno;
  if (error == 0) return;
  ::unlink(aside.c_str());
  cannot("written", path, reason(error));
}

DirectoryLock::DirectoryLock(const fs::path& path)
    : descriptor_(::open(directory_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  constexpr int kTries = 100;
  for (int i = 0; i < kTries && ::flock(descriptor_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

DirectoryLock::~DirectoryLock() {
  if (descriptor_ >= 0) ::close(descriptor_);  // which releases the lock
}

}  // namespace sprue::codegen
