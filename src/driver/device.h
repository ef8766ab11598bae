// GPUs: what they are, which one is current, and making one current for a scope.
#pragma once

#include <cstdint>
#include <string>

#include "core/architecture.h"
#include "sprue/tensor.h"

namespace sprue::driver {

struct DeviceInfo {
  int ordinal = 0;
  std::string name;
  Architecture architecture;  ///< Compute capability; no suffix.
  int multiprocessors = 0;
  int shared_bytes_per_block = 0;  ///< The most that one block may ask for, static and dynamic together.
  int shared_bytes_per_multiprocessor = 0;
  int registers_per_multiprocessor = 0;
  std::int64_t l2_bytes = 0;
  std::int64_t memory_bytes = 0;
  bool programmatic_launches = false;  ///< Hopper and later, by a driver that also captures them into graphs.
};

/// Peak clocks. Apart from DeviceInfo because asking takes milliseconds.
struct DeviceClocks {
  int core_khz = 0;
  int memory_khz = 0;
  int memory_bus_bits = 0;
};

/// 0 when there is no driver.
int device_count();
/// Asked once per device. ArgumentError for an ordinal that does not exist.
const DeviceInfo& device_info(int ordinal);
DeviceClocks device_clocks(int ordinal);

/// The device of the calling thread's context; tens of nanoseconds. A thread without one gets the primary
/// context of device 0, as from the CUDA runtime. Streams given to Sprue belong to this device.
int current_device();

/// Whether work given to `stream` is recorded into a CUDA graph instead of running.
bool is_capturing(Stream stream);
/// Of the default stream too; never used again in this process. Not while `stream` is being captured.
std::uint64_t stream_id(Stream stream);

/// Waits for everything on the current device.
void synchronize_device();

/// While it lives, calls of this thread that are not allowed during a capture do not break captures of other
/// streams.
class RelaxedCapture {
 public:
  RelaxedCapture();
  ~RelaxedCapture();
  RelaxedCapture(const RelaxedCapture&) = delete;
  RelaxedCapture& operator=(const RelaxedCapture&) = delete;

 private:
  int mode_;  ///< The thread's own.
};

/// Makes a device current for the calling thread, through its primary context, until the end of the scope. A
/// context of that device that is current already is kept, whichever it is.
class ScopedDevice {
 public:
  explicit ScopedDevice(int ordinal);
  ~ScopedDevice();
  ScopedDevice(const ScopedDevice&) = delete;
  ScopedDevice& operator=(const ScopedDevice&) = delete;

 private:
  bool pushed_ = false;
};

}  // namespace sprue::driver
