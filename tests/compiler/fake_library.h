// Directories of fake libraries: ELF files with a header and, if wanted, a build id, and nothing else.
#pragma once

#include <elf.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

/// A directory that is removed with everything in it.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "sprue-compiler-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary directory");
    path_ = name;
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  std::string operator/(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

inline void write_file(const std::string& path, const std::string& content) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << content;
}

#if defined(__aarch64__)
inline constexpr int kThisMachine = EM_AARCH64, kOtherMachine = EM_X86_64;
#else
inline constexpr int kThisMachine = EM_X86_64, kOtherMachine = EM_AARCH64;
#endif

/// The bytes of a shared library that has one segment of notes: another note first, then the build id, if
/// any.
inline std::string fake_library(const std::string& build_id, int machine = kThisMachine) {
  const auto bytes_of = [](const auto& object) {
    return std::string(reinterpret_cast<const char*>(&object), sizeof object);
  };
  const auto note = [&](int type, const std::string& description) {
    const Elf64_Nhdr header = {4, static_cast<Elf64_Word>(description.size()), static_cast<Elf64_Word>(type)};
    std::string text = bytes_of(header) + std::string("GNU\0", 4) + description;
    text.resize((text.size() + 3) / 4 * 4);
    return text;
  };
  const std::string notes =
      note(NT_GNU_ABI_TAG, "12345") + (build_id.empty() ? "" : note(NT_GNU_BUILD_ID, build_id));

  Elf64_Ehdr header = {};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_type = ET_DYN;
  header.e_machine = static_cast<Elf64_Half>(machine);
  header.e_phoff = sizeof header;
  header.e_phentsize = sizeof(Elf64_Phdr);
  header.e_phnum = 1;
  Elf64_Phdr segment = {};
  segment.p_type = PT_NOTE;
  segment.p_offset = sizeof header + sizeof segment;
  segment.p_filesz = notes.size();
  return bytes_of(header) + bytes_of(segment) + notes;
}
