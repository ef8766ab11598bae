// KernelSpec → Built: render, look in the cache, compile and publish what is not there. Needs no GPU.
#include <fmt/format.h>

#include "codegen/render.h"
#include "runtime/record.h"
#include "runtime/runtime_impl.h"

namespace sprue {
namespace {

Built built_of(const Source& source, const Architecture& arch, cache::Found found) {
  return {.source = source,
          .cubin = cubin_of(std::move(found.entry.image), found.entry.metadata),
          .architecture = arch.name(),
          .origin = found.tier == cache::Tier::directory ? "directory" : "read_only",
          .entry_name = found.entry.key.name()};
}

}  // namespace

Source RuntimeImpl::render(const KernelSpec& spec) const {
  const Stopwatch stopwatch(counters_.render_ns);
  return codegen::render(templates_, manifest(spec.kernel), spec);
}

Built RuntimeImpl::build(const KernelSpec& spec, const Architecture& arch,
                         const compiler::Compiler::Cancelled& cancelled) {
  const Source source = render(spec);
  const Fields record = key_record(source, arch);
  const Digest request = cache::request_digest(record);
  for (;;) {
    const auto compiler = toolchain_.identity();
    const cache::Key key{request, compiler ? compiler->build_id : std::string()};
    bool waited = false;
    const auto make = [&] {
      try {
        return find_or_compile(source, arch, record, key, cancelled);
      } catch (...) {
        AtomicCounters::add(counters_.failures);
        throw;
      }
    };
    const auto on_wait = [&] {
      waited = true;
      AtomicCounters::add(counters_.waits);
    };
    try {
      return builds_.run(key, make, on_wait);
    } catch (const CancelledError&) {
      const bool our_wish = !waited || (cancelled && cancelled());
      if (our_wish) throw;
    }
  }
}

/// `key.toolchain` is empty on a machine without a compiler: there the answer of any toolchain will do.
Built RuntimeImpl::find_or_compile(const Source& source, const Architecture& arch, const Fields& record,
                                   const cache::Key& key, const compiler::Compiler::Cancelled& cancelled) {
  const bool has_compiler = !key.toolchain.empty();
  const auto use = [&](cache::Found found) {
    AtomicCounters::add(found.tier == cache::Tier::directory ? counters_.directory_hits
                                                             : counters_.read_only_hits);
    return built_of(source, arch, std::move(found));
  };
  if (auto found = has_compiler ? store_.find(key) : store_.find_any_toolchain(key.request)) {
    return use(std::move(*found));
  }
  if (options_.require_prewarmed) {
    const auto other = has_compiler ? store_.find_any_toolchain(key.request) : std::nullopt;
    throw NotPrewarmedError(fmt::format(
        "require_prewarmed is set, but no cache has this kernel{}; add it with `sprue prewarm`, or clear "
        "require_prewarmed (SPRUE_REQUIRE_PREWARMED): {} for {}",
        other ? fmt::format(
                    " from this machine's compiler (there is one from toolchain {}, but this one is {})",
                    other->entry.key.toolchain, key.toolchain)
              : "",
        print(source.spec), arch.name()));
  }
  const compiler::Compiler& compiler = toolchain_.compiler();

  cache::FoundOrLock turn = store_.find_or_lock({key.request, compiler.identity().build_id});
  if (turn.found) {
    AtomicCounters::add(counters_.waits);
    return use(std::move(*turn.found));
  }
  Cubin cubin;
  {
    const Stopwatch stopwatch(counters_.compile_ns);
    cubin = compiler.compile(source, arch, cancelled);
  }
  AtomicCounters::add(counters_.compiles);
  const Resources& resources = cubin.resources;
  log(resources.spill_bytes > 0 || !resources.advisories.empty() ? LogLevel::warning : LogLevel::info,
      fmt::format("compiled {} for {} in {:.0f} ms: {} registers, {} bytes spilled, {} advisories",
                  print(source.spec), arch.name(), cubin.compile_ms, resources.registers,
                  resources.spill_bytes, resources.advisories.size()));
  const cache::Entry entry{.key = {key.request, compiler.identity().build_id},
                           .record = record,
                           .metadata = metadata(source, cubin, arch, compiler.version()),
                           .image = cubin.image,
                           .source = source.text};
  store_.insert(entry);
  return {.source = source,
          .cubin = std::move(cubin),
          .architecture = arch.name(),
          .origin = "compiled",
          .entry_name = entry.key.name()};
}

}  // namespace sprue
