// build_id: which build a shared library is, read from the file without loading it.
#pragma once

#include <string>

namespace sprue::compiler {

/// What `read_build_id` found out about a file: either an identity or the reason why there is none.
struct BuildId {
  std::string hex;      ///< Lower-case hexadecimal, 8 to 64 digits; empty when the file cannot be used.
  std::string problem;  ///< "not an ELF file", "built for another machine", ...; empty when `hex` is set.
};

/// The GNU build id in the file's ELF notes: a few small reads. A library without one is identified by the
/// SHA-256 of its size, its first and its last MiB.
BuildId read_build_id(const std::string& file);

}  // namespace sprue::compiler
