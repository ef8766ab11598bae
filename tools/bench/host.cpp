#include "bench/host.h"

#include <fmt/format.h>
#include <stdlib.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <optional>

#include "driver/device.h"
#include "driver/driver.h"
#include "driver/launch.h"
#include "driver/memory.h"
#include "driver/stream.h"
#include "runtime/runtime_impl.h"
#include "sprue/error.h"
#include "sprue/ops.h"
#include "tune/race.h"

namespace sprue::tools {
namespace {

using Clock = std::chrono::steady_clock;

double ns_since(Clock::time_point start) {
  return std::chrono::duration<double, std::nano>(Clock::now() - start).count();
}

bool has_gpu() {
  return driver::available() && driver::device_count() > 0;
}

constexpr std::int64_t kHidden = 4096;

Request rms_norm_request() {
  return {"rms_norm",
          {{"SCALAR", std::string("bf16")},
           {"HIDDEN", kHidden},
           {"HAS_WEIGHT", true},
           {"ALIGNMENT", std::int64_t{16}},
           {"ROW_DIMS", std::int64_t{1}}}};
}

Request attention_request() {
  return {
      "attention_portable",
      {{"SCALAR", std::string("bf16")}, {"HEAD_DIM", std::int64_t{128}}, {"HEAD_DIM_V", std::int64_t{128}}}};
}

/// Tensors of the smallest problem, for launches whose kernels take next to no time.
struct TinyNorm {
  driver::DeviceBuffer x{2 * kHidden}, y{2 * kHidden}, weight{2 * kHidden};
  RmsNorm args{.y = {y.data(), DType::bf16, {1, kHidden}},
               .x = {x.data(), DType::bf16, {1, kHidden}},
               .weight = {weight.data(), DType::bf16, {kHidden}}};
};

double lookup_ns() {
  constexpr std::uint64_t kKernels = 64, kRounds = 20'000;
  KernelTable table;
  const auto key = [](std::uint64_t i) { return KernelKey{kernel_id("rms_norm"), 0, {i << 8, 0x10}}; };
  for (std::uint64_t i = 0; i < kKernels; ++i) table.insert(key(i), std::make_unique<LoadedKernel>());
  std::vector<double> samples;
  std::uint64_t found = 0;
  for (int sample = 0; sample < 11; ++sample) {
    const auto start = Clock::now();
    for (std::uint64_t i = 0; i < kRounds * kKernels; ++i)
      found += table.find(key(i * 7 % kKernels)) != nullptr;
    samples.push_back(ns_since(start) / (kRounds * kKernels));
  }
  if (found != 11 * kRounds * kKernels) throw Error("the table has lost a kernel");
  return tune::median(samples);
}

/// Median host microseconds per call of each, in turns; calls are so few that the GPU's queue never fills.
template <class... Calls>
std::array<double, sizeof...(Calls)> call_us(const Calls&... calls) {
  constexpr int kCalls = 200, kSamples = 101;
  std::array<std::vector<double>, sizeof...(Calls)> samples;
  const auto sample = [](const auto& call, std::vector<double>& times) {
    const auto start = Clock::now();
    for (int i = 0; i < kCalls; ++i) call();
    times.push_back(ns_since(start) / 1e3 / kCalls);
    driver::synchronize_device();
  };
  for (int round = 0; round < kSamples; ++round) {
    std::size_t next = 0;
    (sample(calls, samples[next++]), ...);
  }
  std::array<double, sizeof...(Calls)> medians;
  std::transform(samples.begin(), samples.end(), medians.begin(), tune::median);
  return medians;
}

/// The argument of kernel_templates/norm/rms_norm.cu, for a launch without the operator.
struct RmsNormParams {
  void* y;
  const void *x, *weight;
  long long rows, extent[5], x_stride[5], y_stride[5];
  float eps;
};

void add_launch_figures(const RuntimeOptions& options, std::vector<HostFigure>& figures) {
  Runtime runtime(options);
  const driver::StreamHandle stream;
  TinyNorm tiny;
  for (driver::DeviceBuffer* buffer : {&tiny.x, &tiny.y, &tiny.weight}) buffer->fill(0x3c);
  prepare(runtime, tiny.args);

  RuntimeImpl& impl = runtime.impl();
  const KernelKey key{kernel_id("bench"), driver::current_device(), {}};
  const LoadedKernel& kernel = impl.load(key, stream, rms_norm_request());
  const RmsNormParams params{tiny.y.data(), tiny.x.data(), tiny.weight.data(), 1,
                             {1},           {kHidden},     {kHidden},          1e-6f};
  const driver::LaunchConfig config{.kernel = kernel.handle,
                                    .grid = {static_cast<unsigned>(kernel.launch.blocks_per_row), 1, 1},
                                    .threads = static_cast<unsigned>(kernel.launch.threads),
                                    .shared_bytes = static_cast<unsigned>(kernel.launch.shared_bytes),
                                    .stream = stream};
  const auto raw = [&] { driver::launch(config, &params); };
  const auto through = [&] { rms_norm(runtime, tiny.args, stream); };
  const auto [raw_us, operator_us] = call_us(raw, through);
  figures.push_back({"launch_raw", raw_us, "us", "cuLaunchKernel with prepared parameters"});
  figures.push_back({"launch_operator", operator_us, "us", "the same kernel through sprue::rms_norm"});
  figures.push_back({"launch_overhead", operator_us - raw_us, "us", "the difference"});
}

void add_compile_figures(RuntimeOptions options, const std::string& arch, std::vector<HostFigure>& figures) {
  options.disk_cache = false;
  const auto start = Clock::now();
  Runtime(options).impl().toolchain().compiler();
  figures.push_back(
      {"compiler_load", ns_since(start) / 1e6, "ms", "finding and opening NVRTC, once per process"});
  for (const Request& request : {rms_norm_request(), attention_request()}) {
    std::vector<double> render, compile;
    for (int sample = 0; sample < 5; ++sample) {
      const Runtime runtime(options);
      RuntimeImpl& impl = runtime.impl();
      const Architecture target = architecture(arch);
      impl.build(impl.specify(request, target), target);
      render.push_back(runtime.counters().render_ms);
      compile.push_back(runtime.counters().compile_ms);
    }
    figures.push_back({"render_" + request.kernel, tune::median(render), "ms", "template to source"});
    figures.push_back(
        {"compile_" + request.kernel, tune::median(compile), "ms", "source to machine code for " + arch});
  }
}

/// Runs this program again, as a process that finds its kernel in `cache`.
WarmStart warm_start_in_child(const std::filesystem::path& cache, const std::string& arch) {
  const std::string program = std::filesystem::read_symlink("/proc/self/exe").string();
  const std::string command =
      fmt::format("'{}' bench host --child --arch {} --cache '{}'", program, arch, cache.string());
  std::FILE* const pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) throw Error("cannot start a process: " + command);
  WarmStart times;
  const int read = std::fscanf(pipe, "%lf %lf", &times.context_ms, &times.ready_ms);
  const int status = pclose(pipe);
  if (read != 2 || status != 0) throw Error(fmt::format("failed with status {}: {}", status, command));
  return times;
}

void add_warm_start_figures(const std::string& arch, std::vector<HostFigure>& figures) {
  std::string cache = (std::filesystem::temp_directory_path() / "sprue-bench-XXXXXX").string();
  if (mkdtemp(cache.data()) == nullptr) throw CacheError("no directory can be made in " + cache);
  std::vector<double> context, ready;
  for (int process = 0; process < 12; ++process) {
    const WarmStart times = warm_start_in_child(cache, arch);
    if (process == 0) continue;  // compiles and fills the cache
    context.push_back(times.context_ms);
    ready.push_back(times.ready_ms);
  }
  std::filesystem::remove_all(cache);
  if (has_gpu())
    figures.push_back(
        {"context", tune::median(context), "ms", "the driver and its context, in a new process"});
  figures.push_back({"warm_start", tune::median(ready), "ms",
                     has_gpu() ? "a runtime and its first kernel, loaded from disk, in a new process"
                               : "a runtime and its first kernel, read from disk, in a new process"});
}

}  // namespace

std::vector<HostFigure> host_figures(const RuntimeOptions& options, const std::string& arch) {
  std::vector<HostFigure> figures;
  figures.push_back({"lookup", lookup_ns(), "ns", "a kernel in the table of the hot path"});
  if (has_gpu()) add_launch_figures(options, figures);
  add_compile_figures(options, arch, figures);
  add_warm_start_figures(arch, figures);
  return figures;
}

WarmStart warm_start(const RuntimeOptions& options, const std::string& arch) {
  WarmStart times;
  std::optional<TinyNorm> tiny;
  const auto begin = Clock::now();
  if (has_gpu()) {
    driver::current_device();
    times.context_ms = ns_since(begin) / 1e6;
    tiny.emplace();
  }
  const auto start = Clock::now();
  Runtime runtime(options);
  if (tiny) {
    prepare(runtime, tiny->args);
  } else {
    RuntimeImpl& impl = runtime.impl();
    impl.build(impl.specify(rms_norm_request(), architecture(arch)), architecture(arch));
  }
  times.ready_ms = ns_since(start) / 1e6;
  return times;
}

}  // namespace sprue::tools
