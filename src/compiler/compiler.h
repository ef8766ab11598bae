// compile: Source → Cubin with NVRTC, which is opened at run time. The only home of nvrtc.h.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/architecture.h"
#include "core/values.h"

namespace sprue::compiler {

/// The device compiler found on this machine, without loading it.
struct CompilerIdentity {
  std::string path;      ///< Where libnvrtc lies.
  std::string build_id;  ///< Hexadecimal; differs for every build of every version. See build_id.h.
};

/// Where to look.
struct CompilerSearch {
  std::string nvrtc = {};        ///< A library file or its directory; when given, nothing else is tried.
  std::string system_root = {};  ///< Put before /usr and /etc: a mounted image, or a test's own tree.
};

/// The first usable libnvrtc (major 12 or 13): `search.nvrtc`, CUDA_HOME, CUDA_PATH, /usr/local/cuda, the
/// newest /usr/local/cuda-*, the dynamic loader's paths, pip's nvidia packages of VIRTUAL_ENV, of `python3`
/// on PATH, of CONDA_PREFIX, of the user and of the system. Nothing if there is none. Reads a few hundred
/// bytes; loads nothing. `tried`, if given, receives one line per place that was looked at and what was found
/// there.
std::optional<CompilerIdentity> find_compiler(const CompilerSearch& search,
                                              std::vector<std::string>* tried = nullptr);

/// A loaded NVRTC. Thread-safe. Loading costs 5-10 ms, so it happens at the first compile of a process.
class Compiler {
 public:
  /// CompileError that lists every place tried when there is no usable NVRTC, or when it is too old.
  explicit Compiler(const CompilerSearch& search);
  ~Compiler();
  Compiler(const Compiler&) = delete;
  Compiler& operator=(const Compiler&) = delete;

  /// "13.0"
  std::string version() const;
  const CompilerIdentity& identity() const;
  /// "sm_75", "sm_80", ..., "sm_90", "sm_90a": what this NVRTC can build for.
  const std::vector<std::string>& architectures() const;

  /// Polled before, after and, with NVRTC 12.8 or later, while compiling, from any thread, perhaps several at
  /// once. True cancels (CancelledError); an exception cancels too and reaches the caller.
  using Cancelled = std::function<bool()>;
  /// CompileError when the source is refused. The cubin depends only on text, kernel name, architecture and
  /// NVRTC. `source.spec.kernel` names the entry point and the file in messages.
  Cubin compile(const Source& source, const Architecture& arch, const Cancelled& cancelled = {}) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The options for an architecture in canonical order, the same for every version of NVRTC and understood by
/// nvcc; a part of the cache key. Options that cannot change the cubin are added when NVRTC is called.
std::vector<std::string> compile_options(const Architecture& arch);

/// What ptxas -v says in `log` about `entry` and the functions compiled with it, and every C75xx message.
Resources parse_resources(std::string_view log, std::string_view entry);

/// The lines of `source` around the first error that `log` names, numbered; empty when the log names none.
std::string numbered_excerpt(std::string_view source, std::string_view log);

}  // namespace sprue::compiler
