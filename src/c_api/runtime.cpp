// The C API's runtime and tensors.
#include <string>

#include "c_api/convert.h"

namespace {

using namespace sprue;
using namespace sprue::c_api;

static_assert(SPRUE_LOG_DEBUG == static_cast<int>(LogLevel::debug) &&
              SPRUE_LOG_INFO == static_cast<int>(LogLevel::info) &&
              SPRUE_LOG_WARNING == static_cast<int>(LogLevel::warning));

bool read_switch(const char* name, int given, bool otherwise) {
  if (given < SPRUE_OFF || given > SPRUE_ON) {
    throw ArgumentError(
        fmt::format("{} must be SPRUE_DEFAULT (0), SPRUE_ON (1) or SPRUE_OFF (-1), but is {}", name, given));
  }
  return given == SPRUE_DEFAULT ? otherwise : given == SPRUE_ON;
}

void read_path(const char* given, std::filesystem::path& path) {
  if (given != nullptr) path = given;
}

void read_paths(const char* name, const char* const* given, std::size_t count,
                std::vector<std::filesystem::path>& paths) {
  if (given == nullptr) {
    if (count != 0) throw ArgumentError(fmt::format("{} must not be NULL when its count is {}", name, count));
    return;
  }
  paths.clear();
  for (std::size_t i = 0; i < count; ++i) paths.emplace_back(&required(name, given[i]));
}

RuntimeOptions options_of(const sprue_runtime_options& given) {
  RuntimeOptions options = RuntimeOptions::from_environment();
  read_path(given.cache_directory, options.cache_directory);
  read_paths("options.read_only_caches", given.read_only_caches, given.read_only_cache_count,
             options.read_only_caches);
  if (given.cache_limit_bytes == SPRUE_NO_LIMIT) {
    options.cache_limit_bytes = 0;
  } else if (given.cache_limit_bytes != 0) {
    options.cache_limit_bytes = given.cache_limit_bytes;
  }
  options.disk_cache = read_switch("options.disk_cache", given.disk_cache, options.disk_cache);
  options.require_prewarmed =
      read_switch("options.require_prewarmed", given.require_prewarmed, options.require_prewarmed);
  read_path(given.template_directory, options.template_directory);
  read_paths("options.tuned", given.tuned, given.tuned_count, options.tuned);
  read_path(given.record, options.record);
  if (given.nvrtc != nullptr) options.nvrtc = given.nvrtc;
  if (const auto allocate = given.allocate) {
    options.allocator.allocate = [allocate, user = given.allocator_user](std::size_t bytes, Stream stream) {
      return allocate(user, bytes, stream);
    };
  }
  if (const auto deallocate = given.deallocate) {
    options.allocator.deallocate = [deallocate, user = given.allocator_user](void* data, std::size_t bytes,
                                                                             Stream stream) {
      deallocate(user, data, bytes, stream);
    };
  }
  if (const auto log = given.log) {
    options.log = [log, user = given.log_user](LogLevel level, std::string_view message) {
      log(user, static_cast<int>(level), std::string(message).c_str());
    };
  }
  return options;
}

}  // namespace

const char* sprue_version(void) {
  return SPRUE_VERSION;
}

int sprue_runtime_create(const sprue_runtime_options* options, sprue_runtime** runtime) {
  return guarded([&] {
    sprue_runtime*& created = required("runtime", runtime);
    created = nullptr;
    created = new sprue_runtime{Runtime(options == nullptr ? RuntimeOptions::from_environment()
                                                           : options_of(read("options", options)))};
  });
}

void sprue_runtime_destroy(sprue_runtime* runtime) {
  delete runtime;
}

int sprue_runtime_counters(const sprue_runtime* runtime, sprue_counters* counters) {
  return guarded([&] {
    const Counters c = required("runtime", runtime).runtime.counters();
    const std::size_t size = required("counters", counters).struct_size;
    const sprue_counters copy{size,       c.launches, c.memory_misses, c.directory_hits, c.read_only_hits,
                              c.compiles, c.failures, c.waits,         c.render_ms,      c.compile_ms,
                              c.load_ms};
    std::memcpy(counters, &copy, checked_size("counters", size, sizeof copy));
  });
}

int sprue_tensor_init(sprue_tensor* tensor, void* data, int dtype, int rank, const int64_t* shape,
                      const int64_t* stride) {
  return guarded([&] {
    sprue_tensor made{data, dtype, rank, {}, {}};
    tensor_of("tensor", made);
    const auto size = static_cast<std::size_t>(rank);
    const std::span extents(rank == 0 ? nullptr : &required("shape", shape), size);
    const Extents filled = stride == nullptr ? Extents(extents) : Extents(extents, std::span(stride, size));
    std::copy(filled.shape.begin(), filled.shape.end(), made.shape);
    std::copy(filled.stride.begin(), filled.stride.end(), made.stride);
    required("tensor", tensor) = made;
  });
}
