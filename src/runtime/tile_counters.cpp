// Counters per stream and per captured launch.
#include "runtime/tile_counters.h"

#include <vector>

#include "driver/device.h"

namespace sprue {

void TileCounters::reserve(int device) {
  {
    const std::lock_guard lock(mutex_);
    if (devices_.contains(device)) return;
  }
  if (driver::is_capturing(nullptr)) return;  // the copy below would wait for the stream that is captured
  const driver::RelaxedCapture relaxed;
  Counters counters;
  counters.memory = driver::DeviceBuffer(kCount * sizeof(std::uint32_t));
  counters.memory.copy_from_host(std::vector<std::uint32_t>(kCount).data(), counters.memory.bytes());
  const std::lock_guard lock(mutex_);
  devices_.try_emplace(device, std::move(counters));
}

std::uint32_t* TileCounters::take(int device, Stream stream) {
  const bool capturing = driver::is_capturing(stream);
  const std::uint64_t id = capturing ? 0 : driver::stream_id(stream);
  std::unique_lock lock(mutex_);
  auto found = devices_.find(device);
  if (found == devices_.end() && !capturing) {
    lock.unlock();
    reserve(device);
    lock.lock();
    found = devices_.find(device);
  }
  if (found == devices_.end()) return nullptr;
  Counters& counters = found->second;
  auto* const first = static_cast<std::uint32_t*>(counters.memory.data());
  if (!capturing) {
    if (const auto known = counters.of_stream.find(id); known != counters.of_stream.end())
      return first + known->second;
  }
  if (counters.used == kCount) return nullptr;
  if (!capturing) counters.of_stream.emplace(id, counters.used);
  return first + counters.used++;
}

}  // namespace sprue
