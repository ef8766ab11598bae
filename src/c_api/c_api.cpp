// The C API: every function turns its structs into the C++ ones and exceptions into status codes. No
// exception leaves.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <string>

#include "sprue/ops.h"
#include "sprue/sprue.h"

struct sprue_runtime {
  sprue::Runtime runtime;
};

namespace {

using namespace sprue;

static_assert(SPRUE_MAX_RANK == kMaxRank);
static_assert(SPRUE_F32 == static_cast<int>(DType::f32) && SPRUE_F16 == static_cast<int>(DType::f16) &&
              SPRUE_BF16 == static_cast<int>(DType::bf16) && SPRUE_I32 == static_cast<int>(DType::i32));
static_assert(SPRUE_LOG_DEBUG == static_cast<int>(LogLevel::debug) &&
              SPRUE_LOG_INFO == static_cast<int>(LogLevel::info) &&
              SPRUE_LOG_WARNING == static_cast<int>(LogLevel::warning));

thread_local std::string last_error;

int failed(sprue_status status, const char* message) noexcept {
  try {
    last_error = message;
  } catch (...) {
    last_error.clear();  // No memory for the text; the status still says what happened.
  }
  return status;
}

template <class Call>
int guarded(const Call& call) noexcept {
  try {
    call();
    return SPRUE_OK;
  } catch (const ArgumentError& e) {
    return failed(SPRUE_ERROR_ARGUMENT, e.what());
  } catch (const TemplateError& e) {
    return failed(SPRUE_ERROR_TEMPLATE, e.what());
  } catch (const CompileError& e) {
    return failed(SPRUE_ERROR_COMPILE, e.what());
  } catch (const CudaError& e) {
    return failed(SPRUE_ERROR_CUDA, e.what());
  } catch (const CacheError& e) {
    return failed(SPRUE_ERROR_CACHE, e.what());
  } catch (const NotPrewarmedError& e) {
    return failed(SPRUE_ERROR_NOT_PREWARMED, e.what());
  } catch (const CaptureError& e) {
    return failed(SPRUE_ERROR_CAPTURE, e.what());
  } catch (const CancelledError& e) {
    return failed(SPRUE_ERROR_CANCELLED, e.what());
  } catch (const std::bad_alloc&) {
    return failed(SPRUE_ERROR_OUT_OF_MEMORY, "the host has no memory left");
  } catch (const std::exception& e) {
    return failed(SPRUE_ERROR_OTHER, e.what());
  } catch (...) {
    return failed(SPRUE_ERROR_OTHER, "an exception that is not a std::exception");
  }
}

template <class T>
T& required(const char* name, T* pointer) {
  if (pointer == nullptr) throw ArgumentError(fmt::format("{} must not be NULL", name));
  return *pointer;
}

std::size_t checked_size(const char* name, std::size_t given, std::size_t known) {
  constexpr std::size_t kAbsurd =
      1 << 16;  // An uninitialised struct_size must not make us read far beyond it.
  if (given > sizeof(std::size_t) && given < kAbsurd) return std::min(given, known);
  throw ArgumentError(fmt::format("{}.struct_size must be its sizeof, {}, but is {}", name, known, given));
}

/// The caller's struct as this library knows it: members that it lacks are 0, members that are not known here
/// must be 0.
template <class T>
T read(const char* name, const T* given) {
  T copy{};
  const std::size_t size = checked_size(name, required(name, given).struct_size, sizeof(T));
  std::memcpy(&copy, given, size);
  const char* bytes = reinterpret_cast<const char*>(given);
  if (std::any_of(bytes + size, bytes + given->struct_size, [](char byte) { return byte != 0; })) {
    throw ArgumentError(
        fmt::format("{} must use only members that Sprue {} knows, but has others set: "
                    "it was built against a newer sprue.h",
                    name, SPRUE_VERSION));
  }
  return copy;
}

Tensor tensor_of(const char* name, const sprue_tensor& tensor) {
  if (tensor.dtype < SPRUE_F32 || tensor.dtype > SPRUE_I32) {
    throw ArgumentError(fmt::format(
        "{}.dtype must be SPRUE_F32 (0), SPRUE_F16 (1), SPRUE_BF16 (2) or SPRUE_I32 (3), but is {}", name,
        tensor.dtype));
  }
  if (tensor.rank < 0 || tensor.rank > SPRUE_MAX_RANK) {
    throw ArgumentError(fmt::format("{}.rank must be 0 to {}, but is {}", name, SPRUE_MAX_RANK, tensor.rank));
  }
  const auto rank = static_cast<std::size_t>(tensor.rank);
  return {tensor.data, static_cast<DType>(tensor.dtype),
          Extents(std::span(tensor.shape, rank), std::span(tensor.stride, rank))};
}

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

RmsNorm arguments(const sprue_rms_norm_args* given) {
  const sprue_rms_norm_args args = read("args", given);
  return {.y = tensor_of("args.y", args.y),
          .x = tensor_of("args.x", args.x),
          .weight = tensor_of("args.weight", args.weight),
          .eps = args.eps};
}

bool read_flag(const char* name, int given) {
  if (given == 0 || given == 1) return given == 1;
  throw ArgumentError(fmt::format("{} must be 0 or 1, but is {}", name, given));
}

/// A limit that does not hold is -1.
std::int64_t window_of(const char* name, std::int64_t limit, int windows, sprue_windows bit) {
  if ((windows & bit) != 0) return limit;
  if (limit == 0) return -1;
  throw ArgumentError(fmt::format("{} must be 0 unless args.window names it, but is {}", name, limit));
}

Attention arguments(const sprue_attention_args* given) {
  const sprue_attention_args args = read("args", given);
  if (args.window < 0 || args.window > (SPRUE_WINDOW_LEFT | SPRUE_WINDOW_RIGHT)) {
    throw ArgumentError(fmt::format(
        "args.window must be a sum of SPRUE_WINDOW_LEFT (1) and SPRUE_WINDOW_RIGHT (2), but is {}",
        args.window));
  }
  return {.out = tensor_of("args.out", args.out),
          .q = tensor_of("args.q", args.q),
          .k = tensor_of("args.k", args.k),
          .v = tensor_of("args.v", args.v),
          .lse = tensor_of("args.lse", args.lse),
          .causal = read_flag("args.causal", args.causal),
          .scale = args.scale == 0 ? NAN : args.scale,
          .window_left = window_of("args.window_left", args.window_left, args.window, SPRUE_WINDOW_LEFT),
          .window_right = window_of("args.window_right", args.window_right, args.window, SPRUE_WINDOW_RIGHT),
          .chunk = args.chunk,
          .softcap = args.softcap,
          .alibi_slopes = tensor_of("args.alibi_slopes", args.alibi_slopes),
          .bias = tensor_of("args.bias", args.bias),
          .sinks = tensor_of("args.sinks", args.sinks),
          .dropout = {args.dropout_probability, args.dropout_seed, args.dropout_offset},
          .probabilities = tensor_of("args.probabilities", args.probabilities),
          .cu_seqlens_q = tensor_of("args.cu_seqlens_q", args.cu_seqlens_q),
          .cu_seqlens_k = tensor_of("args.cu_seqlens_k", args.cu_seqlens_k),
          .seqused_q = tensor_of("args.seqused_q", args.seqused_q),
          .seqused_k = tensor_of("args.seqused_k", args.seqused_k),
          .block_table = tensor_of("args.block_table", args.block_table),
          .empty_lse = args.empty_lse == 0 ? -INFINITY : args.empty_lse,
          .batch_invariant = read_flag("args.batch_invariant", args.batch_invariant),
          .portable = read_flag("args.portable", args.portable)};
}

}  // namespace

const char* sprue_version(void) {
  return SPRUE_VERSION;
}

const char* sprue_last_error_message(void) {
  return last_error.c_str();
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

int sprue_rms_norm(sprue_runtime* runtime, const sprue_rms_norm_args* args, CUstream_st* stream) {
  return guarded([&] { rms_norm(required("runtime", runtime).runtime, arguments(args), stream); });
}

int sprue_prepare_rms_norm(sprue_runtime* runtime, const sprue_rms_norm_args* args) {
  return guarded([&] { prepare(required("runtime", runtime).runtime, arguments(args)); });
}

int sprue_attention(sprue_runtime* runtime, const sprue_attention_args* args, CUstream_st* stream) {
  return guarded([&] { attention(required("runtime", runtime).runtime, arguments(args), stream); });
}

int sprue_prepare_attention(sprue_runtime* runtime, const sprue_attention_args* args) {
  return guarded([&] { prepare(required("runtime", runtime).runtime, arguments(args)); });
}
