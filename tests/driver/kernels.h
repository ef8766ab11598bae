// Compiles and loads a small kernel for the device at hand.
#pragma once

#include <string>

#include "compiler/compiler.h"
#include "driver/device.h"
#include "driver/module.h"
#include "support/gpu.h"
#include "support/nvrtc.h"

#define SKIP_WITHOUT_GPU_AND_NVRTC() \
  SKIP_WITHOUT_GPU();                \
  SKIP_WITHOUT_NVRTC()

#define SKIP_BELOW_SM_90()                                                                \
  if (sprue::driver::device_info(sprue::driver::current_device()).architecture.major < 9) \
  SKIP_TEST("the device is older than sm_90")

/// The kernel named `kernel` in `text`, built for the current device and prepared on it.
inline sprue::driver::Module load_kernel(const std::string& text, int shared_bytes = 0) {
  static const sprue::compiler::Compiler compiler(nvrtc_search());
  const int device = sprue::driver::current_device();
  const sprue::Source source = {{"kernel", {}, {}}, text, {}};
  const sprue::Cubin cubin = compiler.compile(source, sprue::driver::device_info(device).architecture);
  sprue::driver::Module module(cubin.image, "kernel");
  module.prepare(device, shared_bytes);
  return module;
}

/// y[i] = y[i] * factor + i
inline constexpr const char* kScaleAndAdd = R"(struct Params { float* y; int count; float factor; };
extern "C" __global__ void kernel(const __grid_constant__ Params params) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < params.count) params.y[i] = params.y[i] * params.factor + i;
})";

struct ScaleAndAdd {
  void* y;
  int count;
  float factor;
};
