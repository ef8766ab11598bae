// TileCounters: the counters from which the blocks of a persistent kernel draw their tiles.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <utility>

#include "driver/memory.h"
#include "sprue/tensor.h"

namespace sprue {

/// Counters in device memory, all zero between launches: a kernel leaves its counter as it found it, so
/// nothing has to be cleared. Launches of one stream run one after the other and share a counter. A launch
/// that is captured into a graph gets one of its own: only that node ever uses it, and a node never runs
/// beside itself, because it would write the same output. Thread-safe.
class TileCounters {
 public:
  /// Makes the counters of a device, which is current, unless there are any or a capture does not allow it.
  void reserve(int device);
  /// Reserves them where that is still to be done. nullptr when the device has no counters or none is left:
  /// the kernel then hands out its tiles in turn.
  std::uint32_t* take(int device, Stream stream);

 private:
  static constexpr std::uint32_t kCount = 1 << 16;
  struct Counters {
    driver::DeviceBuffer memory;
    std::uint32_t used = 0;
    std::map<std::uint64_t, std::uint32_t> of_stream;  ///< By the stream's id, which is never used again.
  };

  std::mutex mutex_;
  std::map<int, Counters> devices_;
};

}  // namespace sprue
