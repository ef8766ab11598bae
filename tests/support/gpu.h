// For tests tagged [gpu]: SKIP_WITHOUT_GPU() ends the test case as skipped where there is no CUDA driver or
// device.
#pragma once

#include "driver/driver.h"
#include "support/catch.h"

#define SKIP_WITHOUT_GPU() \
  if (!sprue::driver::available()) SKIP_TEST("no GPU: " << sprue::driver::unavailable_reason())
