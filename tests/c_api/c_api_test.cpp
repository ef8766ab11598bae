// The C API: statuses, messages, struct sizes, options; no exception leaves it.
#include <cmath>
#include <cstring>
#include <string>
#include <thread>

#include "c_api/calls.h"
#include "support/catch.h"

namespace {

/// A runtime without a disk cache.
struct Handle {
  Handle() {
    sprue_runtime_options options = {};
    options.struct_size = sizeof options;
    options.disk_cache = SPRUE_OFF;
    REQUIRE(sprue_runtime_create(&options, &runtime) == SPRUE_OK);
  }
  ~Handle() { sprue_runtime_destroy(runtime); }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  sprue_runtime* runtime = nullptr;
};

std::string message() {
  return sprue_last_error_message();
}

}  // namespace

TEST_CASE("the library's version is the header's") {
  CHECK(std::string(sprue_version()) == SPRUE_VERSION);
}

TEST_CASE("C code gets the operators' messages") {
  const Handle handle;
  CHECK(check_argument(handle.runtime, "[rms_norm] y must have the shape of x, [2, 65], but has [2, 64]") ==
        0);
}

TEST_CASE("attention runs from C, with every way to say the default scale") {
  const Handle handle;
  CHECK(empty_attention(handle.runtime, 0) == SPRUE_OK);
  CHECK(empty_attention(handle.runtime, NAN) == SPRUE_OK);
  CHECK(empty_attention(handle.runtime, 0.5f) == SPRUE_OK);
  CHECK(empty_attention(handle.runtime, INFINITY) == SPRUE_ERROR_ARGUMENT);
}

TEST_CASE("attention from C: a member that is 0 is off, and each of them reaches the operator") {
  const Handle handle;
  const auto refusal = [&](auto change) {
    sprue_attention_args args = {};
    args.struct_size = sizeof args;
    small_attention(&args);
    change(args);
    return sprue_attention(handle.runtime, &args, nullptr) == SPRUE_OK ? "accepted" : message();
  };
  using Args = sprue_attention_args;
  CHECK(refusal([](Args&) {}) == "accepted");
  CHECK(refusal([](Args& a) { a.struct_size = offsetof(Args, window); }) == "accepted");  // an older header
  CHECK_THAT(refusal([](Args& a) { a.window = SPRUE_WINDOW_LEFT, a.window_left = -5; }),
             Contains("window_left must be at least 0"));
  CHECK_THAT(refusal([](Args& a) { a.window = SPRUE_WINDOW_RIGHT, a.window_right = -5; }),
             Contains("window_right must be at least 0"));
  CHECK(refusal([](Args& a) { a.window = 3; }) == "accepted");
  CHECK(refusal([](Args& a) { a.window_left = 5; }) ==
        "args.window_left must be 0 unless args.window names it, but is 5");
  CHECK(refusal([](Args& a) { a.window = SPRUE_WINDOW_LEFT, a.window_right = 5; }) ==
        "args.window_right must be 0 unless args.window names it, but is 5");
  CHECK(refusal([](Args& a) { a.window = 4; }) ==
        "args.window must be a sum of SPRUE_WINDOW_LEFT (1) and SPRUE_WINDOW_RIGHT (2), but is 4");
  CHECK_THAT(refusal([](Args& a) { a.chunk = -1; }), Contains("chunk must be"));
  CHECK_THAT(refusal([](Args& a) { a.softcap = -1; }), Contains("softcap must be"));
  CHECK_THAT(refusal([](Args& a) { a.dropout_probability = 1; }), Contains("dropout.probability must be"));
  const std::pair<const char*, sprue_tensor Args::*> tensors[] = {{"alibi_slopes", &Args::alibi_slopes},
                                                                  {"bias", &Args::bias},
                                                                  {"sinks", &Args::sinks},
                                                                  {"probabilities", &Args::probabilities},
                                                                  {"cu_seqlens_q", &Args::cu_seqlens_q},
                                                                  {"cu_seqlens_k", &Args::cu_seqlens_k},
                                                                  {"seqused_q", &Args::seqused_q},
                                                                  {"seqused_k", &Args::seqused_k},
                                                                  {"block_table", &Args::block_table}};
  for (const auto& [name, member] : tensors) {
    INFO(name);
    const std::string text = refusal([&, at = member](Args& a) {
      const std::int64_t shape[] = {1, 1, 1, 1, 1};
      sprue_tensor_init(&(a.*at), &a, SPRUE_F16, 5, shape, nullptr);
    });
    CHECK_THAT(text, StartsWith("[attention] "));
    CHECK_THAT(refusal([at = member](Args& a) { (a.*at).rank = 9; }),
               Contains(std::string(name) + ".rank must be"));
  }
  CHECK(refusal([](Args& a) { a.batch_invariant = 2; }) == "args.batch_invariant must be 0 or 1, but is 2");
  CHECK(refusal([](Args& a) { a.portable = -1; }) == "args.portable must be 0 or 1, but is -1");
  CHECK(refusal([](Args& a) { a.portable = a.batch_invariant = 1, a.empty_lse = INFINITY; }) == "accepted");
}

TEST_CASE("attention_backward from C: its members reach the operator") {
  const Handle handle;
  sprue_attention_args forward = {};
  forward.struct_size = sizeof forward;
  small_attention(&forward);
  sprue_attention_backward_args args = {};
  args.struct_size = sizeof args;
  CHECK(sprue_attention_backward(handle.runtime, &args, nullptr) == SPRUE_ERROR_ARGUMENT);
  CHECK(message() == "args.forward must not be NULL");
  args.forward = &forward;
  CHECK(sprue_prepare_attention_backward(handle.runtime, &args) == SPRUE_ERROR_ARGUMENT);
  CHECK_THAT(message(), Contains("forward.lse must be what the forward call wrote"));
  const int64_t lse[] = {2, 4, 0};
  sprue_tensor_init(&forward.lse, nullptr, SPRUE_F32, 3, lse, nullptr);
  args.dq = forward.q;
  args.dk = forward.k;
  args.dv = forward.v;
  args.dout = forward.out;
  size_t bytes = 1;
  CHECK(sprue_attention_backward_workspace_bytes(handle.runtime, &args, &bytes) == SPRUE_ERROR_ARGUMENT);
  CHECK(message() == "[attention_backward] dk must not overlap k, but they share memory");
  static char memory[1 << 16];
  args.dk.data = memory;
  args.dv.data = memory + (1 << 15);
  CHECK(sprue_attention_backward_workspace_bytes(handle.runtime, &args, &bytes) == SPRUE_OK);
  CHECK(bytes == 0);  // there are no queries
  args.deterministic = 2;
  CHECK(sprue_attention_backward(handle.runtime, &args, nullptr) == SPRUE_ERROR_ARGUMENT);
  CHECK(message() == "args.deterministic must be 0 or 1, but is 2");
  args.deterministic = 1;

  using Args = sprue_attention_backward_args;
  const auto refusal = [&](auto change) {
    Args changed = args;
    change(changed);
    size_t needed = 0;
    return sprue_attention_backward_workspace_bytes(handle.runtime, &changed, &needed) == SPRUE_OK
               ? "accepted"
               : message();
  };
  CHECK(refusal([](Args&) {}) == "accepted");
  CHECK(refusal([](Args& a) { a.struct_size = offsetof(Args, dbias); }) == "accepted");  // an older header
  const std::pair<const char*, sprue_tensor Args::*> tensors[] = {
      {"dq", &Args::dq},       {"dk", &Args::dk},           {"dv", &Args::dv},        {"dout", &Args::dout},
      {"dbias", &Args::dbias}, {"dslopes", &Args::dslopes}, {"dsinks", &Args::dsinks}};
  for (const auto& [name, member] : tensors) {
    INFO(name);
    CHECK_THAT(refusal([at = member](Args& a) {
                 const std::int64_t shape[] = {1, 1, 1, 1, 1};
                 sprue_tensor_init(&(a.*at), memory, SPRUE_F32, 5, shape, nullptr);
               }),
               StartsWith(std::string("[attention_backward] ") + name + " must "));
    CHECK_THAT(refusal([at = member](Args& a) { (a.*at).rank = 9; }),
               Contains(std::string(name) + ".rank must be"));
  }
  CHECK_THAT(refusal([](Args& a) { a.workspace = memory + 1; }),
             Contains("workspace must be aligned to 256 bytes"));
  alignas(256) static char workspace[256];
  const int64_t query[] = {2, 1, 4, 64}, rows[] = {2, 4, 1};
  sprue_tensor* const queries[] = {&forward.out, &forward.q, &args.dq, &args.dout};
  for (int i = 0; i < 4; ++i)
    sprue_tensor_init(queries[i], memory + 4096 * (i + 1), SPRUE_BF16, 4, query, nullptr);
  sprue_tensor_init(&forward.lse, memory + 4096 * 5, SPRUE_F32, 3, rows, nullptr);
  args.workspace = workspace;
  args.workspace_bytes = 8;
  CHECK(sprue_attention_backward(handle.runtime, &args, nullptr) == SPRUE_ERROR_ARGUMENT);
  CHECK_THAT(message(), Contains("workspace must have at least 256 bytes, but has 8"));
}

TEST_CASE("activation from C: each member reaches the operator") {
  const Handle handle;
  const std::int64_t shape[] = {0, 64}, other[] = {0, 63}, column[] = {64};
  const auto tensor = [](std::uintptr_t data, int rank, const std::int64_t* extents, int dtype = SPRUE_BF16) {
    sprue_tensor t;
    REQUIRE(sprue_tensor_init(&t, reinterpret_cast<void*>(data << 20), dtype, rank, extents, nullptr) == SPRUE_OK);
    return t;
  };
  sprue_activation_args args = {};
  args.struct_size = sizeof args;
  args.y = tensor(1, 2, shape);
  args.x = tensor(2, 2, shape);
  args.function = SPRUE_GELU_TANH;
  CHECK(sprue_activation(handle.runtime, &args, nullptr) == SPRUE_OK);
  args.gate_bias = tensor(5, 1, column);
  CHECK(sprue_prepare_activation(handle.runtime, &args) == SPRUE_ERROR_ARGUMENT);
  CHECK(message() == "[activation] gate_bias must not be given without a gate, but is [64]");
  args.gate = tensor(3, 2, shape);
  args.bias = tensor(4, 1, column, SPRUE_F32);
  CHECK(sprue_activation(handle.runtime, &args, nullptr) == SPRUE_ERROR_ARGUMENT);
  CHECK(message() == "[activation] gate_bias must have the dtype of bias, f32, but has bf16");
  args.function = 8;
  CHECK(sprue_activation(handle.runtime, &args, nullptr) == SPRUE_ERROR_ARGUMENT);
  CHECK(message() == "args.function must be a sprue_activation_function, 0 to 7, but is 8");

  sprue_activation_backward_args backward = {};
  backward.struct_size = sizeof backward;
  backward.dx = backward.dy = args.y;
  backward.x = args.x;
  CHECK(sprue_activation_backward(handle.runtime, &backward, nullptr) == SPRUE_OK);
  backward.gate = args.gate;
  CHECK(sprue_prepare_activation_backward(handle.runtime, &backward) == SPRUE_ERROR_ARGUMENT);
  CHECK(message() == "[activation_backward] dgate must be given if and only if gate is, but gate is given");
  backward.dgate = tensor(6, 2, other);
  CHECK(sprue_activation_backward(handle.runtime, &backward, nullptr) == SPRUE_ERROR_ARGUMENT);
  CHECK(message() == "[activation_backward] dgate must have the shape of dy, [0, 64], but has [0, 63]");
}

TEST_CASE("softmax from C: each member reaches the operator") {
  const Handle handle;
  const std::int64_t shape[] = {0, 4, 64}, other[] = {0, 4, 63};
  const auto tensor = [](std::uintptr_t data, int dtype, const std::int64_t* extents) {
    sprue_tensor t;
    REQUIRE(sprue_tensor_init(&t, reinterpret_cast<void*>(data << 20), dtype, 3, extents, nullptr) ==
            SPRUE_OK);
    return t;
  };
  sprue_softmax_args args = {};
  args.struct_size = sizeof args;
  args.y = tensor(1, SPRUE_BF16, shape);
  args.x = tensor(2, SPRUE_BF16, shape);
  args.scale = 1;
  CHECK(sprue_softmax(handle.runtime, &args, nullptr) == SPRUE_OK);
  args.mask = tensor(3, SPRUE_I32, shape);
  CHECK(sprue_prepare_softmax(handle.runtime, &args) == SPRUE_ERROR_ARGUMENT);
  CHECK(message() == "[softmax] mask must have dtype u8, but has i32");
  args.causal = 2;
  CHECK(sprue_softmax(handle.runtime, &args, nullptr) == SPRUE_ERROR_ARGUMENT);
  CHECK(message() == "args.causal must be 0 or 1, but is 2");

  sprue_softmax_backward_args backward = {};
  backward.struct_size = sizeof backward;
  backward.dx = backward.dy = args.x;
  backward.y = args.y;
  CHECK(sprue_softmax_backward(handle.runtime, &backward, nullptr) == SPRUE_OK);
  backward.dy = tensor(4, SPRUE_BF16, other);
  CHECK(sprue_prepare_softmax_backward(handle.runtime, &backward) == SPRUE_ERROR_ARGUMENT);
  CHECK(message() == "[softmax_backward] dy must have the shape of y, [0, 4, 64], but has [0, 4, 63]");
}

TEST_CASE("cross entropy from C: each member reaches the operator") {
  const Handle handle;
  const std::int64_t logits_shape[] = {0, 64}, rows[] = {0}, one[] = {1}, parts[] = {2, 0, 3},
                     part[] = {0, 3};
  const auto tensor = [](std::uintptr_t data, int dtype, int rank, const std::int64_t* shape) {
    sprue_tensor t;
    REQUIRE(sprue_tensor_init(&t, reinterpret_cast<void*>(data << 20), dtype, rank, shape, nullptr) ==
            SPRUE_OK);
    return t;
  };
  const sprue_tensor logits = tensor(1, SPRUE_BF16, 2, logits_shape), labels = tensor(2, SPRUE_I64, 1, rows),
                     per_row = tensor(3, SPRUE_F32, 1, rows);
  sprue_cross_entropy_args args = {};
  args.struct_size = sizeof args;
  args.loss = per_row;
  args.logits = logits;
  args.labels = labels;
  args.options = SPRUE_LOSS_OPTIONS;
  CHECK(sprue_cross_entropy(handle.runtime, &args, nullptr) == SPRUE_ERROR_ARGUMENT);
  CHECK(message() == "[cross_entropy] loss must be [1] for a mean or sum, but is [0]");
  args.options.reduction = SPRUE_REDUCTION_NONE;
  CHECK(sprue_cross_entropy(handle.runtime, &args, nullptr) == SPRUE_OK);
  args.bad_labels = per_row;
  CHECK(sprue_prepare_cross_entropy(handle.runtime, &args) == SPRUE_ERROR_ARGUMENT);
  CHECK(message() == "[cross_entropy] bad_labels must have dtype i32, but has f32");
  args.options.reduction = 3;
  CHECK(sprue_cross_entropy(handle.runtime, &args, nullptr) == SPRUE_ERROR_ARGUMENT);
  CHECK(message() == "args.options.reduction must be a sprue_reduction, 0 to 2, but is 3");

  sprue_cross_entropy_backward_args backward = {};
  backward.struct_size = sizeof backward;
  backward.dlogits = backward.logits = logits;
  backward.labels = labels;
  backward.lse = per_row;
  backward.dloss = tensor(4, SPRUE_F32, 1, one);
  backward.options = SPRUE_LOSS_OPTIONS;
  CHECK(sprue_cross_entropy_backward(handle.runtime, &backward, nullptr) == SPRUE_OK);
  backward.class_start = 1;
  CHECK(sprue_prepare_cross_entropy_backward(handle.runtime, &backward) == SPRUE_ERROR_ARGUMENT);
  CHECK_THAT(message(), StartsWith("[cross_entropy_backward] class_start must be 0 to 0"));

  sprue_cross_entropy_partials_args partials = {};
  partials.struct_size = sizeof partials;
  partials.partials = tensor(5, SPRUE_F32, 2, part);
  partials.logits = logits;
  partials.labels = labels;
  partials.options = SPRUE_LOSS_OPTIONS;
  partials.options.reduction = SPRUE_REDUCTION_NONE;
  CHECK(sprue_cross_entropy_partials(handle.runtime, &partials, nullptr) == SPRUE_OK);
  partials.total_classes = 63;
  CHECK(sprue_prepare_cross_entropy_partials(handle.runtime, &partials) == SPRUE_ERROR_ARGUMENT);
  CHECK_THAT(message(), StartsWith("[cross_entropy_partials] total_classes must be 0 or 64"));

  sprue_cross_entropy_combine_args combine = {};
  combine.struct_size = sizeof combine;
  combine.loss = per_row;
  combine.partials = tensor(5, SPRUE_F32, 3, parts);
  combine.labels = labels;
  combine.total_classes = 128;
  combine.options = partials.options;
  CHECK(sprue_cross_entropy_combine(handle.runtime, &combine, nullptr) == SPRUE_OK);
  combine.total_classes = 0;
  CHECK(sprue_prepare_cross_entropy_combine(handle.runtime, &combine) == SPRUE_ERROR_ARGUMENT);
  CHECK_THAT(message(), StartsWith("[cross_entropy_combine] total_classes must be the classes of all ranks"));
}

TEST_CASE("norms from C: what comes before and after them reaches the operator") {
  const Handle handle;
  const std::int64_t rows[] = {0, 64}, columns[] = {64}, values[] = {0};
  static float memory[64];
  sprue_layer_norm_args args = {};
  args.struct_size = sizeof args;
  sprue_tensor_init(&args.x, nullptr, SPRUE_BF16, 2, rows, nullptr);
  sprue_tensor_init(&args.y, nullptr, SPRUE_E4M3, 2, rows, nullptr);
  sprue_tensor_init(&args.y_row_scale, nullptr, SPRUE_F32, 1, values, nullptr);
  sprue_tensor_init(&args.x1, nullptr, SPRUE_BF16, 2, rows, nullptr);
  sprue_tensor_init(&args.gate, nullptr, SPRUE_BF16, 2, rows, nullptr);
  sprue_tensor_init(&args.row_scale, nullptr, SPRUE_F32, 1, values, nullptr);
  sprue_tensor_init(&args.column_scale, memory, SPRUE_F32, 1, columns, nullptr);
  args.gate_first = 1;
  args.dropout_probability = 0.5f;
  sprue_tensor_init(&args.dropout_mask, nullptr, SPRUE_U8, 2, rows, nullptr);
  sprue_tensor_init(&args.dropout_mask1, nullptr, SPRUE_U8, 2, rows, nullptr);
  CHECK(sprue_layer_norm(handle.runtime, &args, nullptr) == SPRUE_OK);
  const auto refusal = [&](auto change) {
    sprue_layer_norm_args changed = args;
    change(changed);
    return sprue_layer_norm(handle.runtime, &changed, nullptr) == SPRUE_OK ? "accepted" : message();
  };
  CHECK_THAT(refusal([](auto& a) { a.x_scale = NAN; }), StartsWith("[layer_norm] x_scale must be finite"));
  CHECK_THAT(refusal([](auto& a) { a.dropout_probability = 1; }),
             StartsWith("[layer_norm] dropout.probability"));
  CHECK_THAT(refusal([](auto& a) { a.dropout_mask1 = {}; }),
             StartsWith("[layer_norm] dropout_mask1 must be given"));
  CHECK_THAT(refusal([](auto& a) { a.y_row_scale = {}; }), StartsWith("[layer_norm] y_scale or y_row_scale"));
  CHECK_THAT(refusal([](auto& a) { a.y1 = a.y; }), StartsWith("[layer_norm] weight must be given with y1"));
  CHECK_THAT(refusal([](auto& a) { a.weight1 = a.column_scale; }),
             StartsWith("[layer_norm] weight1 must not"));
  CHECK_THAT(refusal([](auto& a) { a.x_rows = a.row_scale; }),
             StartsWith("[layer_norm] x_rows must have dtype i32"));
  CHECK_THAT(refusal([](auto& a) { a.y_rows = a.row_scale; }),
             StartsWith("[layer_norm] y_rows must have dtype i32"));
  CHECK(refusal([](auto& a) { a.gate_first = 2; }) == "args.gate_first must be 0 or 1, but is 2");

  sprue_norm_backward_args backward = {};
  backward.struct_size = sizeof backward;
  for (sprue_tensor* tensor : {&backward.dx, &backward.dy, &backward.z, &backward.gate, &backward.dgate})
    *tensor = args.x;
  CHECK(sprue_layer_norm_backward(handle.runtime, &backward, nullptr) == SPRUE_OK);
  backward.dgate = {};
  CHECK(sprue_rms_norm_backward(handle.runtime, &backward, nullptr) == SPRUE_ERROR_ARGUMENT);
  CHECK(message() == "[rms_norm_backward] dgate must be given with gate, but is not");
}

TEST_CASE("messages belong to the thread that failed") {
  CHECK(sprue_runtime_create(nullptr, nullptr) == SPRUE_ERROR_ARGUMENT);
  CHECK(message() == "runtime must not be NULL");
  std::string other = "untouched";
  std::thread([&] { other = message(); }).join();
  CHECK(other.empty());
}

TEST_CASE("null pointers are refused by name") {
  const Handle handle;
  sprue_rms_norm_args args = {};
  args.struct_size = sizeof args;
  CHECK(sprue_rms_norm(nullptr, &args, nullptr) == SPRUE_ERROR_ARGUMENT);
  CHECK(message() == "runtime must not be NULL");
  CHECK(sprue_rms_norm(handle.runtime, nullptr, nullptr) == SPRUE_ERROR_ARGUMENT);
  CHECK(message() == "args must not be NULL");
  CHECK(sprue_runtime_counters(handle.runtime, nullptr) == SPRUE_ERROR_ARGUMENT);
  CHECK(message() == "counters must not be NULL");
  sprue_tensor tensor;
  CHECK(sprue_tensor_init(&tensor, nullptr, SPRUE_F32, 1, nullptr, nullptr) == SPRUE_ERROR_ARGUMENT);
  CHECK(message() == "shape must not be NULL");
  sprue_runtime_destroy(nullptr);
}

TEST_CASE("struct_size: unset is refused, older is completed, newer must be unused") {
  const Handle handle;
  sprue_rms_norm_args args = {};
  CHECK(sprue_rms_norm(handle.runtime, &args, nullptr) == SPRUE_ERROR_ARGUMENT);
  CHECK(message() == "args.struct_size must be its sizeof, " + std::to_string(sizeof args) + ", but is 0");

  struct {
    sprue_rms_norm_args known;
    long long newer;
  } grown = {};
  grown.known.struct_size = sizeof grown;
  CHECK(sprue_rms_norm(handle.runtime, &grown.known, nullptr) == SPRUE_ERROR_ARGUMENT);
  CHECK_THAT(message(), StartsWith("[rms_norm] x must have"));
  grown.newer = 1;
  CHECK(sprue_rms_norm(handle.runtime, &grown.known, nullptr) == SPRUE_ERROR_ARGUMENT);
  CHECK(message() == "args must use only members that Sprue " SPRUE_VERSION
                     " knows, but has others set: it was built against a newer sprue.h");

  sprue_counters counters;
  std::memset(&counters, 0xff, sizeof counters);
  counters.struct_size = offsetof(sprue_counters, memory_misses);
  CHECK(sprue_runtime_counters(handle.runtime, &counters) == SPRUE_OK);
  CHECK(counters.launches == 0);
  CHECK(counters.memory_misses == ~std::uint64_t{0});
}

TEST_CASE("values that are no member of their enum are refused") {
  const Handle handle;
  sprue_tensor tensor;
  const std::int64_t shape[] = {1, 1, 1, 1, 1, 1, 1};
  CHECK(sprue_tensor_init(&tensor, nullptr, 8, 1, shape, nullptr) == SPRUE_ERROR_ARGUMENT);
  CHECK(message() == "tensor.dtype must be a sprue_dtype from SPRUE_F32 (0) to SPRUE_E4M3 (7), but is 8");
  CHECK(sprue_tensor_init(&tensor, nullptr, 0, 7, shape, nullptr) == SPRUE_ERROR_ARGUMENT);
  CHECK(message() == "tensor.rank must be 0 to 6, but is 7");
  const std::int64_t negative[] = {-1};
  CHECK(sprue_tensor_init(&tensor, nullptr, 0, 1, negative, nullptr) == SPRUE_ERROR_ARGUMENT);
  sprue_attention_args args = {};
  args.struct_size = sizeof args;
  args.causal = 2;
  CHECK(sprue_attention(handle.runtime, &args, nullptr) == SPRUE_ERROR_ARGUMENT);
  CHECK(message() == "args.causal must be 0 or 1, but is 2");
}

TEST_CASE("options reach the runtime or are refused") {
  sprue_runtime_options options = {};
  options.struct_size = sizeof options;
  sprue_runtime* runtime = nullptr;
  SECTION("a switch") {
    options.disk_cache = 5;
    CHECK(sprue_runtime_create(&options, &runtime) == SPRUE_ERROR_ARGUMENT);
    CHECK(message() ==
          "options.disk_cache must be SPRUE_DEFAULT (0), SPRUE_ON (1) or SPRUE_OFF (-1), but is 5");
  }
  SECTION("a directory") {
    options.template_directory = "/nowhere";
    CHECK(sprue_runtime_create(&options, &runtime) == SPRUE_ERROR_ARGUMENT);
    CHECK_THAT(message(), Contains("'/nowhere' is none"));
  }
  SECTION("half an allocator") {
    options.allocate = [](void*, std::size_t, CUstream_st*) -> void* { return nullptr; };
    CHECK(sprue_runtime_create(&options, &runtime) == SPRUE_ERROR_ARGUMENT);
    CHECK(message() == "allocator must have both functions or neither, but has only allocate");
  }
  SECTION("a list without its paths") {
    options.tuned_count = 1;
    CHECK(sprue_runtime_create(&options, &runtime) == SPRUE_ERROR_ARGUMENT);
    CHECK(message() == "options.tuned must not be NULL when its count is 1");
  }
  CHECK(runtime == nullptr);
}

TEST_CASE("the log callback hears what the runtime says") {
  std::string heard;
  sprue_runtime_options options = {};
  options.struct_size = sizeof options;
  options.cache_directory = "/proc/sprue-cannot-be-made";
  options.log = [](void* user, int level, const char* text) {
    if (level == SPRUE_LOG_WARNING) *static_cast<std::string*>(user) += text;
  };
  options.log_user = &heard;
  sprue_runtime* runtime = nullptr;
  CHECK(sprue_runtime_create(&options, &runtime) == SPRUE_OK);
  CHECK_THAT(heard, Contains("/proc/sprue-cannot-be-made"));
  sprue_runtime_destroy(runtime);
}
