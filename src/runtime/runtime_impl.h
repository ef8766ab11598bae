// RuntimeImpl: the star of the design. Composes codegen, compiler, cache and driver; they know nothing of
// each other.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "cache/store.h"
#include "codegen/manifest.h"
#include "codegen/store.h"
#include "codegen/tuned.h"
#include "compiler/compiler.h"
#include "core/values.h"
#include "runtime/counters.h"
#include "runtime/kernel_table.h"
#include "runtime/recorder.h"
#include "runtime/single_flight.h"
#include "runtime/tile_counters.h"
#include "runtime/toolchain.h"
#include "sprue/runtime.h"

namespace sprue {

/// What an operator asks for: a kernel of the templates and its problem; `schedule` is normally empty
/// (defaults, tuned).
struct Request {
  std::string kernel;
  Values problem;
  Values schedule = {};
};

/// A kernel built for an architecture but not loaded: what prewarm, emit and explain work with. Needs no GPU.
struct Built {
  Source source;
  Cubin cubin;
  std::string architecture;
  std::string origin;      ///< "directory", "read_only" or "compiled"
  std::string entry_name;  ///< Of its cache entry.
};

/// Thread-safe. The hot path is kernel() and launch(); everything else is the miss path or for tools.
class RuntimeImpl {
 public:
  explicit RuntimeImpl(RuntimeOptions options);
  ~RuntimeImpl();
  RuntimeImpl(const RuntimeImpl&) = delete;
  RuntimeImpl& operator=(const RuntimeImpl&) = delete;

  /// One probe of an immutable table. On a miss `describe` says what to build.
  template <class Describe>
  const LoadedKernel& kernel(const KernelKey& key, Stream stream, const Describe& describe) {
    if (const LoadedKernel* found = table_.find(key)) return *found;
    return load(key, stream, describe());
  }

  /// One block dimension of `kernel.launch.threads`, `blocks` blocks; `params` is the kernel's one argument,
  /// by value.
  void launch(const LoadedKernel& kernel, unsigned blocks, Stream stream, const void* params);

  /// Miss path: single flight per key, then cache → compile → load on key.device. Failures reach every waiter
  /// and are then forgotten. CaptureError if `stream` is capturing.
  const LoadedKernel& load(const KernelKey& key, Stream stream, const Request& request);
  /// As load, whatever any stream is doing: for the time before a capture.
  KernelInfo prepare(const KernelKey& key, const Request& request);

  /// The complete, legal spec for an architecture: tuned rows first, then the manifest's defaults.
  KernelSpec specify(const Request& request, const Architecture& arch) const;
  /// Whether the kernel can do that on a device: with a template of that name, an architecture of its own and
  /// a legal schedule. Logs why not.
  bool admits(const Request& request, const Architecture& device) const;
  Source render(const KernelSpec& spec) const;
  /// From the cache, else compiled and published; one at a time per cache key. `cancelled` is polled while
  /// compiling.
  Built build(const KernelSpec& spec, const Architecture& arch,
              const compiler::Compiler::Cancelled& cancelled = {});
  /// The architecture that `kernel` is built for on a device of this compute capability.
  Architecture target(const codegen::Manifest& manifest, const Architecture& device) const;

  const RuntimeOptions& options() const { return options_; }
  const codegen::TemplateStore& templates() const { return templates_; }
  /// ArgumentError that lists the known kernels if there is none of that name. Parsed once.
  const codegen::Manifest& manifest(std::string_view kernel) const;
  cache::Store& store() { return store_; }
  Toolchain& toolchain() { return toolchain_; }
  TileCounters& tile_counters() { return tile_counters_; }
  Counters counters() const { return counters_.snapshot(); }
  /// Every kernel loaded so far.
  std::vector<KernelInfo> loaded() const;

 private:
  struct Resident;

  Built find_or_compile(const Source& source, const Architecture& arch, const Fields& record,
                        const cache::Key& key, const compiler::Compiler::Cancelled& cancelled);
  const LoadedKernel& ready(const KernelKey& key, const Request& request);
  std::shared_ptr<const Resident> resident(const KernelSpec& spec, const Architecture& arch);
  void log(LogLevel level, std::string_view message) const;

  const RuntimeOptions options_;
  const codegen::TemplateStore templates_;
  const codegen::TunedTable tuned_;
  cache::Store store_;
  Toolchain toolchain_;
  Recorder recorder_;
  mutable AtomicCounters counters_;
  TileCounters tile_counters_;

  mutable std::mutex mutex_;  // guards the two maps; never held while anything is read, compiled or loaded
  mutable std::map<std::string, codegen::Manifest, std::less<>> manifests_;
  std::map<std::string, std::shared_ptr<const Resident>, std::less<>> residents_;

  SingleFlight<cache::Key, Built> builds_;
  SingleFlight<KernelKey, const LoadedKernel*> loads_;
  KernelTable table_;
};

KernelInfo info(const LoadedKernel& kernel);

}  // namespace sprue
