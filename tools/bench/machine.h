// The machine that figures come from: what it is, and its measured ceilings.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "sprue/runtime.h"

namespace sprue::tools {

struct Machine {
  std::string device;  ///< "NVIDIA H100 80GB HBM3"; empty without a GPU.
  std::string driver;  ///< "13.0": the newest CUDA that the driver supports; empty without a driver.
  std::string nvrtc;   ///< "13.0"; empty without a compiler.
  std::string date;    ///< "2026-01-31", UTC.

  nlohmann::ordered_json json() const;
  std::string print() const;  ///< "NVIDIA H100 80GB HBM3, driver for CUDA 13.0, NVRTC 13.0, 2026-01-31"
};

Machine this_machine(Runtime& runtime);

/// GB/s of a kernel that copies 1 GiB on the current GPU, kernel_templates/bench/copy.cu, counting what is
/// read and what is written.
double copy_ceiling(Runtime& runtime, Stream stream);

/// TFLOPS of a kernel that does nothing but mma.sync on registers, kernel_templates/bench/mma_peak.cu. GPUs
/// that have instructions beyond mma.sync (wgmma, tcgen05) reach more with those.
double mma_ceiling(Runtime& runtime, Stream stream, DType dtype);

}  // namespace sprue::tools
