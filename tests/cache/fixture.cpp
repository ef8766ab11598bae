#include "cache/fixture.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <stdexcept>

#include "cache/directory.h"

namespace sprue::cache {

Scratch::Scratch() {
  std::string name = (fs::temp_directory_path() / "sprue_cache_test.XXXXXX").string();
  if (!::mkdtemp(name.data())) throw std::runtime_error("mkdtemp failed");
  path_ = name;
}

Scratch::~Scratch() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

Mount::Mount(const fs::path& place, const std::string& options) : place_(place) {
  fs::create_directories(place);
  mounted_ = ::mount("sprue_test", place.c_str(), "tmpfs", 0, options.c_str()) == 0;
}

Mount::~Mount() {
  if (mounted_) ::umount2(place_.c_str(), MNT_DETACH);
}

bool Mount::make_read_only() const {
  return ::mount(nullptr, place_.c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr) == 0;
}

LogSink Messages::sink() {
  return [this](LogLevel, std::string_view message) {
    const std::lock_guard lock(mutex_);
    text_.append(message).append("\n");
  };
}

std::string Messages::text() const {
  const std::lock_guard lock(mutex_);
  return text_;
}

Entry sample(int n, std::size_t image_bytes, const std::string& toolchain) {
  Entry entry;
  entry.record = {{"source", fmt::format("kernel {}", n)}, {"architecture", "sm_90a"}};
  entry.key = {request_digest(entry.record), toolchain};
  entry.metadata = {{"entry_point", "rms_norm"}, {"registers", "32"}};
  entry.image.resize(image_bytes);
  for (std::size_t i = 0; i < image_bytes; ++i) entry.image[i] = static_cast<char>((i * 31 + n) >> 3);
  entry.source = "extern \"C\" __global__ void rms_norm() {}\n";
  entry.created = 1'700'000'000 + n;
  return entry;
}

std::string read_file(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

void write_file(const fs::path& file, const std::string& bytes) {
  fs::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary | std::ios::trunc) << bytes;
}

fs::path file_of(const fs::path& directory, const Key& key) {
  return directory / entry_file(key);
}

int count_files(const fs::path& directory, const std::string& suffix) {
  int count = 0;
  if (!fs::exists(directory)) return 0;
  for (const auto& item : fs::recursive_directory_iterator(directory)) {
    const std::string name = item.path().filename().string();
    count += item.is_regular_file() && name.size() >= suffix.size() &&
             name.compare(name.size() - suffix.size(), suffix.size(), suffix) == 0;
  }
  return count;
}

void set_age(const fs::path& file, std::chrono::seconds age) {
  fs::last_write_time(file, fs::file_time_type::clock::now() - age);
}

std::chrono::seconds age_of(const fs::path& file) {
  return std::chrono::duration_cast<std::chrono::seconds>(fs::file_time_type::clock::now() -
                                                          fs::last_write_time(file));
}

pid_t start(const std::function<int()>& body) {
  const pid_t child = ::fork();
  if (child < 0) throw std::runtime_error("fork failed");
  if (child == 0) {
    int status = 99;
    try {
      status = body();
    } catch (...) {
    }
    ::_exit(status);
  }
  return child;
}

int finish(pid_t child) {
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

}  // namespace sprue::cache
