// Whether this machine has a CUDA driver that works, and which.
#pragma once

#include <string>

namespace sprue::driver {

/// Whether libcuda.so.1 could be opened and initialised, which is tried once per process. Never throws.
bool available() noexcept;
/// Why not: what was looked for and what the loader or the driver said. Empty when available.
const std::string& unavailable_reason() noexcept;

/// "13.0": the newest CUDA version that the driver supports. CudaError when there is no driver.
std::string version();
/// The same as the driver has it: 13000.
int version_number();

}  // namespace sprue::driver
