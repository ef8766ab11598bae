// Global memory: allocations of the host that kernels may touch, and the resolution of addresses.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "emulator/warp.h"

namespace emulator {

struct Range {
  std::uint64_t begin = 0, end = 0;
  bool holds(std::uint64_t address, std::size_t bytes) const {
    return address >= begin && address < end && bytes <= end - address;
  }
};

/// 256-byte aligned, filled with 0xFF bytes; nullptr when there is no more.
void* allocate(std::size_t bytes);
/// False if nothing that lives begins there.
bool release(std::uint64_t address);
/// The allocation that holds all of it; an empty range if there is none.
Range find_allocation(std::uint64_t address, std::size_t bytes);
/// "128 bytes behind the end of the allocation 0x... of 1024 bytes"
std::string nearest_allocation(std::uint64_t address);
/// Fault unless a live allocation holds it.
void check_global(std::uint64_t address, std::size_t bytes, const char* what);

// Generic addresses of what is not global.
inline constexpr std::uint64_t kSharedWindow = std::uint64_t{1} << 60;
inline constexpr std::uint64_t kLocalWindow = std::uint64_t{2} << 60;
inline constexpr std::uint64_t kParamWindow = std::uint64_t{3} << 60;
inline constexpr std::uint64_t kWindowMask = std::uint64_t{15} << 60;

/// Finds in host memory the `bytes` that each lane of `mask` addresses with in.a + in.offset in in.space.
/// Fault for what is outside of memory or not aligned.
void resolve(Warp& warp, const Instruction& in, std::uint32_t mask, std::size_t bytes, std::byte* (&at)[32]);

/// The address of a lane, before resolution.
inline std::uint64_t address_of(Warp& warp, const Instruction& in, int lane) {
  const std::uint64_t base =
      in.aux[3] != 0 ? warp.lanes<std::uint32_t>(in.a)[lane] : warp.lanes<std::uint64_t>(in.a)[lane];
  return base + static_cast<std::uint64_t>(in.offset);
}
/// One lane's, whatever it points to.
std::byte* generic_at(Warp& warp, int lane, std::uint64_t address, std::size_t bytes);

}  // namespace emulator
