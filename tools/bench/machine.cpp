#include "bench/machine.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <ctime>
#include <nlohmann/json.hpp>

#include "bench/replay.h"
#include "driver/device.h"
#include "driver/driver.h"
#include "operators/tensors.h"
#include "runtime/runtime_impl.h"

namespace sprue::tools {
namespace {

/// The one argument of kernel_templates/bench/mma_peak.cu.
struct MmaPeakParams {
  float* sum;
  int rounds;
};

/// The one argument of kernel_templates/bench/copy.cu.
struct CopyParams {
  void* dst;
  const void* src;
  long long vectors;
};

}  // namespace

nlohmann::ordered_json Machine::json() const {
  return {{"device", device}, {"driver", driver}, {"nvrtc", nvrtc}, {"date", date}};
}

std::string Machine::print() const {
  return fmt::format("{}, {}, {}, {}", device.empty() ? "no GPU" : device,
                     driver.empty() ? "no driver" : "driver for CUDA " + driver,
                     nvrtc.empty() ? "no NVRTC" : "NVRTC " + nvrtc, date);
}

Machine this_machine(Runtime& runtime) {
  Machine machine;
  if (driver::available()) {
    machine.driver = driver::version();
    if (driver::device_count() > 0) machine.device = driver::device_info(driver::current_device()).name;
  }
  Toolchain& toolchain = runtime.impl().toolchain();
  if (toolchain.identity()) machine.nvrtc = toolchain.compiler().version();
  machine.date = fmt::format("{:%Y-%m-%d}", fmt::gmtime(std::time(nullptr)));
  return machine;
}

double copy_ceiling(Runtime& runtime, Stream stream) {
  constexpr std::size_t kBytes = std::size_t{1} << 30;
  RuntimeImpl& impl = runtime.impl();
  const LoadedKernel& kernel =
      impl.load({kernel_id("copy"), driver::current_device(), {}}, stream, {"copy", {}});
  const driver::DeviceBuffer from = random_buffer(kBytes / 2, DType::f16, 1), to(kBytes);
  const CopyParams params{to.data(), from.data(), kBytes / 16};
  const auto blocks = static_cast<unsigned>(params.vectors / kernel.launch.rows_per_block);
  Replay replay(stream, [&](Stream s, int) { impl.launch(kernel, blocks, s, &params); });
  return 2.0 * kBytes / replay.median_us() / 1e3;
}

double mma_ceiling(Runtime& runtime, Stream stream, DType dtype) {
  constexpr int kRounds = 4096;
  RuntimeImpl& impl = runtime.impl();
  const KernelKey key{
      kernel_id("mma_peak"), driver::current_device(), {static_cast<std::uint64_t>(dtype), 0}};
  const Request request{"mma_peak", {{"SCALAR", std::string(name_of(dtype))}}};
  const LoadedKernel& kernel = impl.load(key, stream, request);

  const int blocks = kernel.multiprocessors * kernel.blocks_per_multiprocessor;
  const driver::DeviceBuffer sum(sizeof(float) * static_cast<std::size_t>(blocks * kernel.launch.threads));
  const MmaPeakParams params{static_cast<float*>(sum.data()), kRounds};
  Replay replay(stream,
                [&](Stream s, int) { impl.launch(kernel, static_cast<unsigned>(blocks), s, &params); });

  const auto chains = static_cast<double>(std::get<std::int64_t>(kernel.spec.schedule.at("CHAINS")));
  const double warps = blocks * kernel.launch.threads / 32.0;
  const double flops = 2.0 * 16 * 8 * 16 * chains * kRounds * warps;
  return flops / replay.median_us() / 1e6;
}

}  // namespace sprue::tools
