// Runtime: renders, compiles, caches, loads and launches kernels. One per process is usual; several are
// independent. Thread-safe. Include this and sprue/ops.h; no CUDA header is needed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sprue/error.h"
#include "sprue/export.h"
#include "sprue/log.h"
#include "sprue/tensor.h"

namespace sprue {

/// Where operators take scratch memory from. Both functions run on the launching thread, ordered on `stream`.
struct Allocator {
  /// Device memory, 256-byte aligned; nullptr means out of memory.
  std::function<void*(std::size_t bytes, Stream stream)> allocate;
  std::function<void(void* data, std::size_t bytes, Stream stream)> deallocate;
};

struct SPRUE_API RuntimeOptions {
  /// The private, writable cache; empty: $XDG_CACHE_HOME/sprue or ~/.cache/sprue.
  std::filesystem::path cache_directory;
  /// Directories or pack files, looked at after the private cache.
  std::vector<std::filesystem::path> read_only_caches;
  /// The private cache's size; least recently used kernels go first. 0: no limit.
  std::uint64_t cache_limit_bytes = std::uint64_t{1} << 30;
  /// false: no kernel is read from or written to disk, whatever the options above say.
  bool disk_cache = true;
  /// A cache miss is a NotPrewarmedError and nothing compiles.
  bool require_prewarmed = false;
  /// Files here replace the embedded templates of the same path.
  std::filesystem::path template_directory;
  /// Tuned schedules: JSON files, or directories of them; later ones win.
  std::vector<std::filesystem::path> tuned;
  /// Append every kernel that is asked for to this prewarm manifest, each once.
  std::filesystem::path record;
  /// libnvrtc or its directory; empty: search.
  std::string nvrtc;
  /// Empty: the driver's stream-ordered allocator.
  Allocator allocator;
  /// Silent when empty.
  LogSink log;

  /// Defaults, changed by SPRUE_CACHE_DIR, SPRUE_CACHE_READONLY, SPRUE_CACHE_LIMIT, SPRUE_CACHE,
  /// SPRUE_REQUIRE_PREWARMED, SPRUE_TEMPLATES, SPRUE_TUNED, SPRUE_RECORD and SPRUE_NVRTC; the README lists
  /// them. ArgumentError for a bad value.
  static RuntimeOptions from_environment();
};

/// What the runtime has done so far; every number only grows.
struct Counters {
  std::uint64_t launches = 0;
  std::uint64_t memory_misses = 0;   ///< Calls that found no loaded kernel; hits are launches minus these.
  std::uint64_t directory_hits = 0;  ///< Kernels read from the private cache directory.
  std::uint64_t read_only_hits = 0;  ///< Kernels read from read-only directories and packs.
  std::uint64_t compiles = 0;        ///< Kernels compiled.
  std::uint64_t failures = 0;        ///< Builds that ended in an error.
  std::uint64_t waits = 0;           ///< Builds that waited for another thread or process instead.
  double render_ms = 0, compile_ms = 0, load_ms = 0;
};

/// A kernel as the runtime made or found it.
struct KernelInfo {
  std::string kernel;        ///< "attention_portable"
  std::string spec;          ///< "attention_portable CAUSAL=true ... | BLOCK_M=128 ..."
  std::string architecture;  ///< "sm_90"
  std::string origin;        ///< "memory", "directory", "read_only" or "compiled"
  int registers = 0, spill_bytes = 0, threads = 0, shared_bytes = 0;
  double compile_ms = 0;  ///< When it was compiled, perhaps by another process.
};

class RuntimeImpl;

class SPRUE_API Runtime {
 public:
  /// ArgumentError, TemplateError or CacheError for options that cannot work. Needs neither a GPU nor a
  /// driver nor a compiler.
  explicit Runtime(RuntimeOptions options = RuntimeOptions::from_environment());
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  const RuntimeOptions& options() const;
  Counters counters() const;
  /// The directory of the private cache; empty when there is none.
  std::filesystem::path cache_directory() const;

  /// For Sprue's own operators.
  RuntimeImpl& impl() const { return *impl_; }

 private:
  std::unique_ptr<RuntimeImpl> impl_;
};

}  // namespace sprue
