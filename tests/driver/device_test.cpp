// Devices: properties, the current one, several in one process.
#include "driver/device.h"

#include <string>
#include <thread>

#include "driver/driver.h"
#include "driver/kernels.h"
#include "driver/launch.h"
#include "driver/memory.h"
#include "driver/stream.h"
#include "sprue/error.h"

using namespace sprue;
using namespace sprue::driver;

TEST_CASE("a device says what it is", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  REQUIRE(device_count() >= 1);
  const DeviceInfo& info = device_info(0);
  CHECK(&info == &device_info(0));
  CHECK_FALSE(info.name.empty());
  CHECK(info.architecture.sm() >= 75);
  CHECK(info.multiprocessors > 0);
  CHECK(info.shared_bytes_per_block == shared_bytes_limit(info.architecture));
  CHECK(info.shared_bytes_per_multiprocessor >= info.shared_bytes_per_block);
  CHECK(info.registers_per_multiprocessor == 65536);
  CHECK(info.l2_bytes > 0);
  CHECK(info.memory_bytes > 0);
  CHECK(device_clocks(0).core_khz > 0);
  CHECK(std::stoi(version()) >= 12);
}

TEST_CASE("a device that does not exist is refused", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  CHECK_THROWS_AS(device_info(-1), ArgumentError);
  CHECK_THROWS_WITH(device_info(device_count()), Contains("but is " + std::to_string(device_count())));
}

TEST_CASE("a thread without a context works on device 0", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  int seen = -1;
  std::thread([&] { seen = current_device(); }).join();
  CHECK(seen == 0);
}

TEST_CASE("a scope makes a device current and gives the earlier one back", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  const int before = current_device(), last = device_count() - 1;
  {
    const ScopedDevice scope(last);
    CHECK(current_device() == last);
    const ScopedDevice same(last);
    CHECK(current_device() == last);
  }
  CHECK(current_device() == before);
}

TEST_CASE("one module serves two devices", "[gpu]") {
  SKIP_WITHOUT_GPU_AND_NVRTC();
  if (device_count() < 2) SKIP_TEST("there is one GPU only");
  if (!(device_info(0).architecture == device_info(1).architecture)) SKIP_TEST("the GPUs differ");
  const ScopedDevice first(0);
  const Module module = load_kernel(kScaleAndAdd);
  for (const int device : {1, 0}) {
    const ScopedDevice scope(device);
    module.prepare(device, 0);
    DeviceBuffer y(4 * sizeof(float));
    y.fill(0);
    const StreamHandle stream;
    const ScaleAndAdd params = {y.data(), 4, 1.0f};
    launch({.kernel = module.kernel(), .threads = 32, .stream = stream}, &params);
    synchronize(stream);
    float values[4] = {};
    y.copy_to_host(values, sizeof values);
    CHECK(values[3] == 3.0f);
  }
}
