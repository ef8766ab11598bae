// Files by descriptor: ownership, whole reads and writes, atomic publication. Failures leave their reason in
// errno. A `root` is an open directory, or AT_FDCWD; paths are relative to it.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sprue::cache {

/// Owns an open file descriptor.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(other.release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept;
  ~Descriptor() { close(); }

  int get() const { return number_; }
  explicit operator bool() const { return number_ >= 0; }
  int release();
  bool close();  ///< False if the system reports a late write error.

 private:
  int number_ = -1;
};

/// "No space left on device"
std::string reason(int error);
/// "<process>-<16 random digits>": used by nobody else, on this host or another.
std::string unique_name();

/// Opens for reading; never waits, not even for a pipe.
Descriptor open_to_read(int root, const std::string& path, int flags = 0);
/// Up to `bytes` bytes from `offset`; fewer at the end of the file.
std::optional<std::string> read_at(int file, std::uint64_t offset, std::size_t bytes);
/// Whether `path` names, without following a link, the file that is open.
bool same_file(int file, int root, const std::string& path);
/// The names in a directory, without those that start with a dot, sorted; none if it cannot be read.
std::vector<std::string> names_in(int root, const std::string& directory);
/// Makes the directories that a path needs, with mode 0700. 0, or the first error.
int make_parents(int root, const std::string& path);

/// Writes `aside`, makes it durable and renames it to `path`: others see the whole file or none of it. 0, or
/// the error, after which nothing is left of it.
int publish(int root, const std::string& aside, const std::string& path, std::string_view bytes, mode_t mode);

/// Nanoseconds since 1970: of a file's last use (Sprue sets its modification time), and now.
std::int64_t stamp_of(const struct stat& status);
std::int64_t now_stamp();
/// The same as a file time; the time of access stays.
void set_stamp(int file, std::int64_t stamp);
void set_stamp(int root, const std::string& path, std::int64_t stamp);

}  // namespace sprue::cache
