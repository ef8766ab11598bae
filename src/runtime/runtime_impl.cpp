// RuntimeImpl's parts, made from the options; manifests, parsed when first asked for.
#include "runtime/runtime_impl.h"

#include "runtime/options.h"

namespace sprue {
namespace {

RuntimeOptions checked(RuntimeOptions options) {
  check(options);
  return options;
}

codegen::TemplateStore template_store(const RuntimeOptions& options) {
  return options.template_directory.empty()
             ? codegen::TemplateStore::embedded()
             : codegen::TemplateStore::with_overrides(options.template_directory);
}

cache::StoreOptions store_options(const RuntimeOptions& options) {
  cache::StoreOptions store;
  store.limit_bytes = options.cache_limit_bytes;
  store.log = options.log;
  if (!options.disk_cache) return store;
  store.directory = options.cache_directory.empty() ? default_cache_directory() : options.cache_directory;
  store.read_only = options.read_only_caches;
  if (store.directory.empty() && options.log) {
    options.log(
        LogLevel::warning,
        "kernels are not kept on disk: none of SPRUE_CACHE_DIR, XDG_CACHE_HOME and HOME names a directory");
  }
  return store;
}

}  // namespace

RuntimeImpl::RuntimeImpl(RuntimeOptions options)
    : options_(checked(std::move(options))),
      templates_(template_store(options_)),
      tuned_(codegen::TunedTable::load(templates_, options_.tuned)),
      store_(store_options(options_)),
      toolchain_(options_.nvrtc),
      recorder_(options_.record, options_.log) {}

void RuntimeImpl::log(LogLevel level, std::string_view message) const {
  if (options_.log) options_.log(level, message);
}

const codegen::Manifest& RuntimeImpl::manifest(std::string_view kernel) const {
  {
    const std::lock_guard lock(mutex_);
    if (const auto known = manifests_.find(kernel); known != manifests_.end()) return known->second;
  }
  codegen::Manifest parsed = codegen::manifest(templates_, kernel);
  const std::lock_guard lock(mutex_);
  return manifests_.try_emplace(std::string(kernel), std::move(parsed)).first->second;
}

}  // namespace sprue
