// What the driver's functions do on a machine without a CUDA driver.
#include "driver/device.h"
#include "driver/driver.h"
#include "driver/launch.h"
#include "driver/memory.h"
#include "driver/module.h"
#include "driver/stream.h"
#include "sprue/error.h"
#include "support/catch.h"

using namespace sprue;
using namespace sprue::driver;

#define SKIP_WITH_DRIVER() \
  if (available()) SKIP_TEST("this machine has a CUDA driver")

TEST_CASE("a missing driver is named with what was looked for") {
  SKIP_WITH_DRIVER();
  CHECK_THAT(unavailable_reason(), Contains("CUDA driver"));
  CHECK(device_count() == 0);
  try {
    version();
    FAIL("there is no driver");
  } catch (const CudaError& error) {
    CHECK(error.what() == unavailable_reason());
    CHECK(error.code != 0);
    if (error.code == -1) CHECK_THAT(error.what(), Contains("driver") && Contains("525 or later"));
  }
}

TEST_CASE("without a driver everything that needs one is a CudaError") {
  SKIP_WITH_DRIVER();
  int params = 0;
  CHECK_THROWS_AS(device_info(0), CudaError);
  CHECK_THROWS_AS(device_clocks(0), CudaError);
  CHECK_THROWS_AS(current_device(), CudaError);
  CHECK_THROWS_AS(is_capturing(nullptr), CudaError);
  CHECK_THROWS_AS(ScopedDevice(0), CudaError);
  CHECK_THROWS_AS(Module("cubin", "kernel"), CudaError);
  CHECK_THROWS_AS(launch({}, &params), CudaError);
  CHECK_THROWS_AS(launch({.cooperative = true}, &params), CudaError);
  CHECK_THROWS_AS(DeviceBuffer(16), CudaError);
  CHECK_THROWS_AS(allocate_async(16, nullptr), CudaError);
  CHECK_THROWS_AS(StreamHandle(), CudaError);
  CHECK_THROWS_AS(Event(), CudaError);
}

TEST_CASE("an empty buffer needs no driver to be destroyed or moved") {
  DeviceBuffer first;
  DeviceBuffer second = std::move(first);
  CHECK(second.data() == nullptr);
  CHECK(second.bytes() == 0);
}
