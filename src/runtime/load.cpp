// Request → LoadedKernel: specify, build, load on the device, enter into the hot-path table. And the launch
// itself.
#include <fmt/format.h>

#include <algorithm>

#include "driver/device.h"
#include "driver/launch.h"
#include "driver/module.h"
#include "runtime/runtime_impl.h"

namespace sprue {

/// A cubin in the driver; serves every device that its architecture runs on.
struct RuntimeImpl::Resident {
  driver::Module module;
  LoadedKernel kernel;  ///< Complete but for what depends on the device.
};

RuntimeImpl::~RuntimeImpl() = default;

KernelInfo info(const LoadedKernel& kernel) {
  return {.kernel = kernel.spec.kernel,
          .spec = print(kernel.spec),
          .architecture = kernel.architecture,
          .origin = kernel.origin,
          .registers = kernel.resources.registers,
          .spill_bytes = kernel.resources.spill_bytes,
          .threads = kernel.launch.threads,
          .shared_bytes = kernel.launch.shared_bytes,
          .compile_ms = kernel.compile_ms};
}

void RuntimeImpl::launch(const LoadedKernel& kernel, unsigned blocks, Stream stream, const void* params) {
  driver::launch({.kernel = kernel.handle,
                  .grid = {blocks, 1, 1},
                  .threads = static_cast<unsigned>(kernel.launch.threads),
                  .shared_bytes = static_cast<unsigned>(kernel.launch.shared_bytes),
                  .stream = stream,
                  .programmatic = kernel.launch.programmatic},
                 params);
  AtomicCounters::add(counters_.launches);
}

const LoadedKernel& RuntimeImpl::load(const KernelKey& key, Stream stream, const Request& request) {
  AtomicCounters::add(counters_.memory_misses);
  if (driver::is_capturing(stream)) {
    throw CaptureError(
        fmt::format("[{}] the kernel must be loaded before the stream is captured into a CUDA graph, but "
                    "is not: call prepare() with these arguments first ({})",
                    manifest(request.kernel).operation, print(request.problem)));
  }
  return ready(key, request);
}

KernelInfo RuntimeImpl::prepare(const KernelKey& key, const Request& request) {
  const LoadedKernel* known = table_.find(key);
  KernelInfo result = info(known ? *known : ready(key, request));
  if (known) result.origin = "memory";
  return result;
}

const LoadedKernel& RuntimeImpl::ready(const KernelKey& key, const Request& request) {
  const auto make = [&]() -> const LoadedKernel* {
    if (const LoadedKernel* meanwhile = table_.find(key)) return meanwhile;
    const driver::DeviceInfo& device = driver::device_info(key.device);
    const Architecture arch = target(manifest(request.kernel), device.architecture);
    const KernelSpec spec = specify(request, arch);
    recorder_.add({request.kernel, request.problem, request.schedule}, arch);
    const std::shared_ptr<const Resident> source = resident(spec, arch);

    const Stopwatch stopwatch(counters_.load_ns);
    auto kernel = std::make_unique<LoadedKernel>(source->kernel);
    const int threads = kernel->launch.threads, shared_bytes = kernel->launch.shared_bytes;
    source->module.prepare(key.device, shared_bytes);
    kernel->device = key.device;
    kernel->multiprocessors = device.multiprocessors;
    kernel->launch.programmatic = kernel->launch.programmatic && device.programmatic_launches;
    kernel->blocks_per_multiprocessor =
        source->module.blocks_per_multiprocessor(key.device, threads, shared_bytes);
    const int clusters = source->module.clusters_at_once(key.device, threads, shared_bytes);
    const int blocks = device.multiprocessors * kernel->blocks_per_multiprocessor;
    kernel->groups_at_once = std::max(1, clusters != 0 ? clusters : blocks);
    return &table_.insert(key, std::move(kernel));
  };
  return *loads_.run(key, make, [&] { AtomicCounters::add(counters_.waits); });
}

std::shared_ptr<const RuntimeImpl::Resident> RuntimeImpl::resident(const KernelSpec& spec,
                                                                   const Architecture& arch) {
  const std::string name = fmt::format("{} {}", arch.name(), print(spec));
  {
    const std::lock_guard lock(mutex_);
    if (const auto known = residents_.find(name); known != residents_.end()) return known->second;
  }
  Built built = build(spec, arch);
  const Stopwatch stopwatch(counters_.load_ns);
  auto made = std::make_shared<Resident>(Resident{driver::Module(built.cubin.image, spec.kernel), {}});
  LoadedKernel& kernel = made->kernel;
  kernel.handle = made->module.kernel();
  kernel.id = kernel_id(spec.kernel);
  kernel.launch = built.source.launch;
  kernel.spec = spec;
  kernel.architecture = std::move(built.architecture);
  kernel.origin = std::move(built.origin);
  kernel.resources = std::move(built.cubin.resources);
  kernel.compile_ms = built.cubin.compile_ms;
  const std::lock_guard lock(mutex_);
  return residents_.try_emplace(name, std::move(made)).first->second;
}

std::vector<KernelInfo> RuntimeImpl::loaded() const {
  std::vector<KernelInfo> infos;
  for (const LoadedKernel* kernel : table_.all()) infos.push_back(info(*kernel));
  return infos;
}

}  // namespace sprue
