// Loading and launching against the fake driver: capture, several devices, failures, what a launch is given.
#include <atomic>
#include <thread>

#include "driver/device.h"
#include "driver/driver.h"
#include "runtime/fake_cuda.h"
#include "runtime/fixture.h"
#include "runtime/workspace.h"

using namespace sprue;

namespace {

Request tiny(std::int64_t value) {
  return {"tiny", {{"VALUE", value}}};
}
KernelKey tiny_key(std::int64_t value, int device = 0) {
  return {kernel_id("tiny"), device, {static_cast<std::uint64_t>(value), 0}};
}

const LoadedKernel& kernel(RuntimeImpl& runtime, std::int64_t value, int device = 0) {
  return runtime.kernel(tiny_key(value, device), nullptr, [&] { return tiny(value); });
}

struct FakeFixture : Fixture {
  FakeFixture() {
    fake_cuda = {};
    fake_cuda_set_device(0);
  }
};

}  // namespace

TEST_CASE("the fake driver is in use") {
  CHECK(driver::version() == "13.0");
}

TEST_CASE("a kernel is loaded once and stays") {
  SKIP_WITHOUT_NVRTC();
  FakeFixture fixture;
  {
    RuntimeImpl runtime(fixture.options());
    const LoadedKernel& first = kernel(runtime, 1);
    CHECK(&kernel(runtime, 1) == &first);
    CHECK(first.handle != nullptr);
    CHECK(first.launch == LaunchShape{32, 256, 1});
    CHECK(first.multiprocessors == 132);
    CHECK(first.blocks_per_multiprocessor == 4);
    CHECK(first.groups_at_once == 4 * 132);
    CHECK(first.architecture == "sm_90");
    CHECK(first.origin == "compiled");
    CHECK(runtime.counters().memory_misses == 1);
    CHECK(runtime.counters().load_ms > 0);
    CHECK(fake_cuda.libraries_loaded == 1);
    CHECK(runtime.loaded().size() == 1);
  }
  CHECK(fake_cuda.libraries_unloaded == 1);
}

TEST_CASE("a kernel is launched programmatically where its manifest says so and the device can") {
  SKIP_WITHOUT_NVRTC();
  FakeFixture fixture;
  CHECK_FALSE(kernel(*std::make_unique<RuntimeImpl>(fixture.options()), 1).launch.programmatic);
  std::string manifest = fixture.read("templates/test/tiny.json");
  const std::string before = "\"rows_per_block\": \"WARPS\"";
  manifest.insert(manifest.find(before), "\"programmatic\": \"VALUE > 50\", ");
  fixture.write("templates/test/tiny.json", manifest);
  RuntimeImpl runtime(fixture.options());
  CHECK_FALSE(kernel(runtime, 1).launch.programmatic);
  CHECK(kernel(runtime, 51).launch.programmatic);
  CHECK(driver::device_info(0).programmatic_launches);
  CHECK_FALSE(driver::device_info(2).programmatic_launches);
}

TEST_CASE("devices of one architecture share a cubin") {
  SKIP_WITHOUT_NVRTC();
  FakeFixture fixture;
  RuntimeImpl runtime(fixture.options());
  const LoadedKernel &zero = kernel(runtime, 1, 0), &one = kernel(runtime, 1, 1);
  CHECK(&zero != &one);
  CHECK(zero.handle == one.handle);
  CHECK(one.device == 1);
  CHECK(fake_cuda.libraries_loaded == 1);
  CHECK(fake_cuda.kernels_prepared == 2);
  CHECK(runtime.counters().compiles == 1);
}

TEST_CASE("a device that no kernel runs on is refused by name") {
  FakeFixture fixture;
  RuntimeImpl runtime(fixture.options());
  CHECK_THROWS_WITH(kernel(runtime, 1, 2),
                    "[tiny] the device must be one that kernels for sm_80, sm_90 run on, but is sm_75");
}

TEST_CASE("a capturing stream gets an error before anything is built, unless the kernel is loaded") {
  SKIP_WITHOUT_NVRTC();
  FakeFixture fixture;
  RuntimeImpl runtime(fixture.options());
  fake_cuda.capturing = true;
  CHECK_THROWS_AS(kernel(runtime, 1), CaptureError);
  CHECK_THROWS_WITH(kernel(runtime, 1),
                    "[tiny] the kernel must be loaded before the stream is captured into a CUDA graph, "
                    "but is not: call prepare() with these arguments first (VALUE=1)");
  CHECK(runtime.counters().compiles == 0);
  CHECK(runtime.prepare(tiny_key(1), tiny(1)).origin == "compiled");
  CHECK(runtime.prepare(tiny_key(1), tiny(1)).origin == "memory");
  CHECK_NOTHROW(kernel(runtime, 1));
}

TEST_CASE("threads that want one kernel load it once") {
  SKIP_WITHOUT_NVRTC();
  FakeFixture fixture;
  RuntimeImpl runtime(fixture.options());
  std::vector<std::thread> threads;
  std::vector<const LoadedKernel*> kernels(8);
  for (int t = 0; t < 8; ++t) threads.emplace_back([&, t] { kernels[t] = &kernel(runtime, 1); });
  for (std::thread& thread : threads) thread.join();
  CHECK(kernels == std::vector<const LoadedKernel*>(8, kernels[0]));
  CHECK(fake_cuda.libraries_loaded == 1);
  CHECK(runtime.counters().compiles == 1);
}

TEST_CASE("a failure is forgotten: the next call tries again") {
  SKIP_WITHOUT_NVRTC();
  FakeFixture fixture;
  RuntimeImpl runtime(fixture.without_compiler());
  CHECK_THROWS_AS(kernel(runtime, 1), CompileError);
  build_tiny(*std::make_unique<RuntimeImpl>(fixture.options()), 1);
  CHECK(kernel(runtime, 1).origin == "directory");
}

TEST_CASE("a launch gets the kernel's shape and the caller's argument and stream") {
  SKIP_WITHOUT_NVRTC();
  FakeFixture fixture;
  RuntimeImpl runtime(fixture.options());
  const int argument = 42;
  fake_cuda.params_bytes = [](const char*) { return sizeof argument; };
  const Stream stream = reinterpret_cast<Stream>(&fixture);
  runtime.launch(kernel(runtime, 51), 7, stream, &argument);
  CHECK(fake_cuda.blocks == 7);
  CHECK(fake_cuda.threads == 128);
  CHECK(fake_cuda.shared_bytes == 1024);
  CHECK(fake_cuda.stream == stream);
  CHECK(fake_cuda.params[0] == 42);
  CHECK(runtime.counters().launches == 1);
  fake_cuda.launch_result = 719;
  CHECK_THROWS_AS(runtime.launch(kernel(runtime, 51), 7, stream, &argument), CudaError);
}

TEST_CASE("requests are recorded, hits and repetitions are not") {
  SKIP_WITHOUT_NVRTC();
  FakeFixture fixture;
  RuntimeOptions options = fixture.options();
  options.record = fixture.directory / "seen.json";
  RuntimeImpl runtime(options);
  kernel(runtime, 1);
  kernel(runtime, 1);
  kernel(runtime, 1, 1);
  const std::string seen = fixture.read("seen.json");
  CHECK_THAT(seen, Contains("\"tiny\"") && Contains("\"sm_90\""));
  CHECK(seen.find("tiny", seen.find("tiny") + 1) == std::string::npos);
}

TEST_CASE("workspace comes from the driver when the caller has no allocator") {
  const FakeFixture fixture;
  const Allocator none;
  {
    const Workspace workspace(none, 512, nullptr);
    CHECK(workspace.data() != nullptr);
    CHECK(fake_cuda.frees == 0);
  }
  CHECK(fake_cuda.allocations == 1);
  CHECK(fake_cuda.frees == 1);
  fake_cuda.out_of_memory = true;
  CHECK_THROWS_WITH(Workspace(none, 4096, nullptr),
                    "4096 bytes of workspace are needed, but the device has no memory left");
}
