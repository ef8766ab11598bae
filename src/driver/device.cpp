#include "driver/device.h"

#include <fmt/format.h>

#include <memory>
#include <mutex>
#include <vector>

#include "driver/api.h"
#include "driver/driver.h"
#include "sprue/error.h"

namespace sprue::driver {
namespace {

// The driver's device handles are the ordinals.
int attribute(CUdevice_attribute which, int ordinal) {
  int value = 0;
  SPRUE_CUDA(cuDeviceGetAttribute, &value, which, ordinal);
  return value;
}

DeviceInfo read_info(int ordinal) {
  DeviceInfo info;
  info.ordinal = ordinal;
  char name[256] = {};
  SPRUE_CUDA(cuDeviceGetName, name, sizeof name, ordinal);
  info.name = name;
  info.architecture.major = attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, ordinal);
  info.architecture.minor = attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, ordinal);
  info.multiprocessors = attribute(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, ordinal);
  info.shared_bytes_per_block = attribute(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, ordinal);
  info.shared_bytes_per_multiprocessor =
      attribute(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR, ordinal);
  info.registers_per_multiprocessor =
      attribute(CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR, ordinal);
  info.l2_bytes = attribute(CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE, ordinal);
  std::size_t memory = 0;
  SPRUE_CUDA(cuDeviceTotalMem, &memory, ordinal);
  info.memory_bytes = static_cast<std::int64_t>(memory);
  constexpr int kCapturesProgrammatic = 12030;
  info.programmatic_launches = info.architecture.sm() >= 90 && version_number() >= kCapturesProgrammatic;
  return info;
}

/// What is asked for or made once per device and kept until the process ends.
struct Device {
  std::once_flag info_once, context_once;
  DeviceInfo info;
  CUcontext context = nullptr;
};

Device& device(int ordinal) {
  static const int count = device_count();
  static Device* const devices =
      new Device[static_cast<std::size_t>(count)];  // never destroyed, like the driver
  if (ordinal < 0 || ordinal >= count) {
    api();
    throw ArgumentError(fmt::format("a device must be one of the {} that the driver shows, from 0, but is {}",
                                    count, ordinal));
  }
  return devices[ordinal];
}

CUcontext primary_context(int ordinal) {
  Device& wanted = device(ordinal);
  std::call_once(wanted.context_once,
                 [&] { SPRUE_CUDA(cuDevicePrimaryCtxRetain, &wanted.context, ordinal); });
  return wanted.context;
}

}  // namespace

int device_count() {
  int count = 0;
  if (available()) SPRUE_CUDA(cuDeviceGetCount, &count);
  return count;
}

const DeviceInfo& device_info(int ordinal) {
  Device& wanted = device(ordinal);
  std::call_once(wanted.info_once, [&] { wanted.info = read_info(ordinal); });
  return wanted.info;
}

DeviceClocks device_clocks(int ordinal) {
  device(ordinal);
  return {.core_khz = attribute(CU_DEVICE_ATTRIBUTE_CLOCK_RATE, ordinal),
          .memory_khz = attribute(CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE, ordinal),
          .memory_bus_bits = attribute(CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH, ordinal)};
}

int current_device() {
  CUdevice current = 0;
  const CUresult result = api().cuCtxGetDevice(&current);
  if (result == CUDA_SUCCESS) [[likely]]
    return current;
  if (result != CUDA_ERROR_INVALID_CONTEXT) fail(result, "cuCtxGetDevice");
  SPRUE_CUDA(cuCtxSetCurrent, primary_context(0));
  return 0;
}

bool is_capturing(Stream stream) {
  CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
  const CUresult result = api().cuStreamIsCapturing(stream, &status);
  if (result == CUDA_ERROR_STREAM_CAPTURE_IMPLICIT)
    return true;  // the default stream while another one captures
  check(result, "cuStreamIsCapturing");
  return status != CU_STREAM_CAPTURE_STATUS_NONE;
}

RelaxedCapture::RelaxedCapture() {
  CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
  SPRUE_CUDA(cuThreadExchangeStreamCaptureMode, &mode);
  mode_ = mode;
}

RelaxedCapture::~RelaxedCapture() {
  auto mode = static_cast<CUstreamCaptureMode>(mode_);
  api().cuThreadExchangeStreamCaptureMode(&mode);
}

std::uint64_t stream_id(Stream stream) {
  unsigned long long id = 0;
  SPRUE_CUDA(cuStreamGetId, stream, &id);
  return id;
}

void synchronize_device() {
  SPRUE_CUDA(cuCtxSynchronize);
}

ScopedDevice::ScopedDevice(int ordinal) {
  CUdevice current = 0;
  if (api().cuCtxGetDevice(&current) == CUDA_SUCCESS && current == ordinal) return;
  SPRUE_CUDA(cuCtxPushCurrent, primary_context(ordinal));
  pushed_ = true;
}

ScopedDevice::~ScopedDevice() {
  CUcontext ignored = nullptr;
  if (pushed_) api().cuCtxPopCurrent(&ignored);
}

}  // namespace sprue::driver
