#include "emulator/memory.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <mutex>
#include <shared_mutex>

#include "emulator/block.h"

namespace emulator {
namespace {

constexpr std::size_t kMemoryBytes = std::size_t{16} << 30;

struct Allocations {
  std::shared_mutex mutex;
  std::map<std::uint64_t, std::size_t> live;  // address to bytes
  std::size_t bytes = 0;
};

Allocations& allocations() {
  static auto* const all = new Allocations;  // outlives every object with static lifetime that frees memory
  return *all;
}

std::uint64_t number(const void* p) {
  return reinterpret_cast<std::uintptr_t>(p);
}
std::byte* pointer(std::uint64_t address) {
  return reinterpret_cast<std::byte*>(static_cast<std::uintptr_t>(address));
}

/// Of the space that is addressed directly; generic addresses become one of those first.
std::byte* place_of(Warp& warp, int lane, Space space, std::uint64_t address, std::size_t bytes) {
  switch (space) {
    case Space::generic:
      return generic_at(warp, lane, address, bytes);
    case Space::shared:
      return shared_at(*warp.block, address, bytes);
    case Space::local: {
      const std::size_t size = warp.program->local_bytes;
      if (address > size || bytes > size - address)
        fault("local address {:#x} is outside of the thread's {} bytes", address, size);
      return warp.local.data() + static_cast<std::size_t>(lane) * size + address;
    }
    case Space::param: {
      const auto& params = warp.block->cluster->launch->params;
      if (address > params.size() || bytes > params.size() - address)
        fault("parameter address {:#x} is outside of the kernel's {} bytes", address, params.size());
      return const_cast<std::byte*>(params.data()) + address;
    }
    case Space::global:
      check_global(address, bytes, "global");
      return pointer(address);
  }
  return nullptr;
}

}  // namespace

void* allocate(std::size_t bytes) {
  Allocations& all = allocations();
  {
    const std::unique_lock lock(all.mutex);
    if (bytes > kMemoryBytes - all.bytes) return nullptr;
    all.bytes += bytes;
  }
  void* const data = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  const std::unique_lock lock(all.mutex);
  if (data == nullptr) {
    all.bytes -= bytes;
    return nullptr;
  }
  std::memset(data, 0xFF, bytes);
  all.live[number(data)] = bytes;
  return data;
}

bool release(std::uint64_t address) {
  Allocations& all = allocations();
  const std::unique_lock lock(all.mutex);
  const auto found = all.live.find(address);
  if (found == all.live.end()) return false;
  all.bytes -= found->second;
  std::memset(pointer(address), 0xFF, found->second);
  std::free(pointer(address));
  all.live.erase(found);
  return true;
}

Range find_allocation(std::uint64_t address, std::size_t bytes) {
  Allocations& all = allocations();
  const std::shared_lock lock(all.mutex);
  auto found = all.live.upper_bound(address);
  if (found == all.live.begin()) return {};
  --found;
  const Range range{found->first, found->first + found->second};
  return range.holds(address, bytes) ? range : Range{};
}

std::string nearest_allocation(std::uint64_t address) {
  Allocations& all = allocations();
  const std::shared_lock lock(all.mutex);
  std::uint64_t best = ~std::uint64_t{0};
  std::string text = "there is no allocation";
  auto behind = all.live.upper_bound(address);
  if (behind != all.live.end()) {
    best = behind->first - address;
    text =
        fmt::format("{} bytes before the allocation {:#x} of {} bytes", best, behind->first, behind->second);
  }
  if (behind != all.live.begin()) {
    const auto before = std::prev(behind);
    const std::uint64_t end = before->first + before->second;
    if (address < end)
      return fmt::format("it crosses the end of the allocation {:#x} of {} bytes", before->first,
                         before->second);
    if (address - end < best)
      text = fmt::format("{} bytes behind the end of the allocation {:#x} of {} bytes", address - end,
                         before->first, before->second);
  }
  return text;
}

void check_global(std::uint64_t address, std::size_t bytes, const char* what) {
  if (find_allocation(address, bytes).end == 0)
    fault("{} address {:#x} + {} bytes is in no allocation: {}", what, address, bytes,
          nearest_allocation(address));
}

std::byte* generic_at(Warp& warp, int lane, std::uint64_t address, std::size_t bytes) {
  const std::uint64_t offset = address & ~kWindowMask;
  switch (address & kWindowMask) {
    case 0:
      return place_of(warp, lane, Space::global, address, bytes);
    case kSharedWindow:
      return place_of(warp, lane, Space::shared, offset, bytes);
    case kLocalWindow:
      return place_of(warp, lane, Space::local, offset, bytes);
    case kParamWindow:
      return place_of(warp, lane, Space::param, offset, bytes);
    default:
      fault("generic address {:#x} is in no space", address);
  }
}

void resolve(Warp& warp, const Instruction& in, std::uint32_t mask, std::size_t bytes, std::byte* (&at)[32]) {
  std::uint64_t address[32];
  std::uint64_t low = ~std::uint64_t{0}, high = 0, bits = 0;
  for (std::uint32_t rest = mask; rest != 0; rest &= rest - 1) {
    const int lane = __builtin_ctz(rest);
    address[lane] = address_of(warp, in, lane);
    low = std::min(low, address[lane]);
    high = std::max(high, address[lane]);
    bits |= address[lane];
  }
  if ((bits & (bytes - 1)) != 0) {
    each_lane(mask, [&](int lane) {
      if ((address[lane] & (bytes - 1)) != 0)
        fault("address {:#x} of lane {} is not aligned to {} bytes", address[lane], lane, bytes);
    });
  }
  if (in.space == Space::global || in.space == Space::generic) {
    Range& range = warp.ranges[in.memory];
    if (!range.holds(low, 1) || !range.holds(high, bytes)) {
      const Range found = find_allocation(low, bytes);
      if (found.end != 0) range = found;
    }
    if (range.holds(low, 1) && range.holds(high, bytes)) {
      each_lane(mask, [&](int lane) { at[lane] = pointer(address[lane]); });
      return;
    }
  }
  if (in.space == Space::shared && (high >> 24) == 0) {
    shared_at(*warp.block, low, bytes);
    std::byte* const base = shared_at(*warp.block, high, bytes) - high;
    each_lane(mask, [&](int lane) { at[lane] = base + address[lane]; });
    return;
  }
  for (std::uint32_t rest = mask; rest != 0; rest &= rest - 1) {
    const int lane = __builtin_ctz(rest);
    at[lane] = place_of(warp, lane, in.space, address[lane], bytes);
  }
}

}  // namespace emulator
