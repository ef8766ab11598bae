#include "compiler/build_id.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

#include "core/digest.h"

namespace sprue::compiler {
namespace {

constexpr unsigned char kHostByteOrder =
    std::endian::native == std::endian::little ? ELFDATA2LSB : ELFDATA2MSB;
#if defined(__x86_64__)
constexpr int kHostMachine = EM_X86_64;
#elif defined(__aarch64__)
constexpr int kHostMachine = EM_AARCH64;
#else
constexpr int kHostMachine = EM_NONE;
#endif

class File {
 public:
  explicit File(const std::string& name) : descriptor_(::open(name.c_str(), O_RDONLY | O_CLOEXEC)) {}
  ~File() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  /// The size of a regular file, or nothing.
  std::optional<std::uint64_t> size() const {
    struct stat status;
    if (descriptor_ < 0 || ::fstat(descriptor_, &status) != 0 || !S_ISREG(status.st_mode))
      return std::nullopt;
    return static_cast<std::uint64_t>(status.st_size);
  }

  bool read(void* out, std::size_t bytes, std::uint64_t offset) const {
    auto* at = static_cast<char*>(out);
    while (bytes != 0) {
      const ssize_t got = ::pread(descriptor_, at, bytes, static_cast<off_t>(offset));
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return false;
      at += got;
      offset += static_cast<std::uint64_t>(got);
      bytes -= static_cast<std::size_t>(got);
    }
    return true;
  }

 private:
  int descriptor_;
};

std::string hexadecimal(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const unsigned char b : bytes) {
    text += kDigits[b >> 4];
    text += kDigits[b & 15];
  }
  return text;
}

/// The description of the GNU build id note among a segment's notes; empty when there is none.
std::string_view find_build_id(std::string_view notes) {
  const auto padded = [](std::size_t size) { return (size + 3) / 4 * 4; };
  Elf64_Nhdr note;
  while (notes.size() >= sizeof note) {
    std::memcpy(&note, notes.data(), sizeof note);
    notes.remove_prefix(sizeof note);
    const std::size_t name_bytes = padded(note.n_namesz);
    if (name_bytes > notes.size() || note.n_descsz > notes.size() - name_bytes) break;
    if (note.n_type == NT_GNU_BUILD_ID && notes.substr(0, note.n_namesz) == std::string_view("GNU\0", 4)) {
      return notes.substr(name_bytes, note.n_descsz);
    }
    notes.remove_prefix(std::min(notes.size(), name_bytes + padded(note.n_descsz)));
  }
  return {};
}

std::string content_digest(const File& file, std::uint64_t size) {
  constexpr std::uint64_t kPart = 1 << 20;
  const std::uint64_t head = std::min(size, kPart), tail = std::min(size - head, kPart);
  std::string content(head + tail, '\0');
  if (!file.read(content.data(), head, 0) || !file.read(content.data() + head, tail, size - tail)) return {};
  return sha256(std::to_string(size) + ' ' + content).hex();
}

}  // namespace

BuildId read_build_id(const std::string& name) {
  const File file(name);
  const auto size = file.size();
  if (!size) return {{}, "not a readable file"};
  Elf64_Ehdr header;
  if (!file.read(&header, sizeof header, 0) || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) {
    return {{}, "not an ELF file"};
  }
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != kHostByteOrder ||
      (kHostMachine != EM_NONE && header.e_machine != kHostMachine)) {
    return {{}, "built for another machine"};
  }
  if (header.e_type != ET_DYN || header.e_phentsize != sizeof(Elf64_Phdr))
    return {{}, "not a shared library"};

  for (int i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment;
    if (!file.read(&segment, sizeof segment, header.e_phoff + i * sizeof segment))
      return {{}, "a truncated ELF file"};
    if (segment.p_offset > *size || segment.p_filesz > *size - segment.p_offset)
      return {{}, "a truncated ELF file"};
    if (segment.p_type != PT_NOTE) continue;
    std::string notes(std::min<std::uint64_t>(segment.p_filesz, 4096), '\0');
    if (!file.read(notes.data(), notes.size(), segment.p_offset)) return {{}, "a truncated ELF file"};
    const std::string_view id = find_build_id(notes);
    if (id.size() >= 4 && id.size() <= 32) return {hexadecimal(id), {}};
  }
  std::string digest = content_digest(file, *size);
  if (digest.empty()) return {{}, "not readable to its end"};
  return {std::move(digest), {}};
}

}  // namespace sprue::compiler
