// Block and Cluster: the warps that run together, their shared memory and their barriers.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "emulator/memory.h"
#include "emulator/warp.h"

namespace emulator {

struct Launch {
  const Program* program = nullptr;
  unsigned grid[3] = {1, 1, 1};
  unsigned block[3] = {1, 1, 1};
  unsigned cluster[3] = {1, 1, 1};
  unsigned shared_bytes = 0;
  bool cooperative = false;
  std::uint64_t seed = 0;  ///< Of Turns.
  std::vector<std::byte> params;

  unsigned threads() const { return block[0] * block[1] * block[2]; }
  std::uint64_t blocks() const { return std::uint64_t{grid[0]} * grid[1] * grid[2]; }
};

/// A barrier of bar.sync and its kin; counts threads in whole warps.
struct NamedBarrier {
  int arrived = 0, expected = 0;
  std::uint64_t generation = 0;
  std::uint32_t gathered = 0, result = 0;  ///< Of bar.red, of this and of the last generation.
};

struct Cluster;

struct Block {
  Cluster* cluster = nullptr;
  unsigned id[3] = {0, 0, 0};
  unsigned rank = 0;
  std::vector<std::byte> shared;  ///< From kSharedBase.
  std::vector<Warp> warps;
  std::array<NamedBarrier, 16> barriers;

  std::uint32_t special(Special which, int warp, int lane) const;
  std::string print() const;  ///< "block [3, 0, 0]"
  int living_warps() const;
  /// Completes barriers that wait for all threads, when some have ended.
  void note_end();
};

/// Something that happens by itself some rounds after it was started.
struct Delayed {
  std::uint64_t round = 0;
  std::function<void()> act;
};

struct Cluster {
  const Launch* launch = nullptr;
  std::vector<Block> blocks;
  std::vector<Delayed> delayed;
  std::uint64_t round = 0;
  std::uint64_t generation = 0;   ///< Of the cluster's barrier.
  unsigned first[3] = {0, 0, 0};  ///< Its first block.

  /// Runs every warp to its end. Fault if one does something wrong or nothing can go on.
  void run();
  void after(std::uint64_t rounds, std::function<void()> act);
  void complete_barrier_if_all_arrived();

 private:
  bool deliver(bool all);
  [[noreturn]] void report_deadlock() const;
};

/// The block whose shared memory a 32-bit address is in, and the offset there. The upper eight bits are the
/// block's rank in the cluster plus one, or 0 for the block itself.
struct SharedPlace {
  Block* block;
  std::uint32_t offset;  ///< From kSharedBase.
};
SharedPlace shared_place(Block& block, std::uint64_t address, std::size_t bytes);
std::byte* shared_at(Block& block, std::uint64_t address, std::size_t bytes);

}  // namespace emulator
