// Turns: which warps of a cluster run in a round of the scheduler, and for how long.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

namespace emulator {

/// Without a seed every warp has its turn in every round. With one, some warps are late for a while: they
/// have no turn while others can go on, as a warp of a GPU may be late for no reason that the kernel knows.
class Turns {
 public:
  /// Of `warps` warps of the cluster whose first block has the number `cluster`. `seed` 0: none.
  Turns(std::uint64_t seed, std::uint64_t cluster, std::size_t warps);

  void begin_round();
  /// How many instructions warp `warp` may run in this round. Asked only for those that have not ended.
  std::uint64_t slice(std::size_t warp);
  /// Nothing could go on: lets the late warps run in the next round. Whether there were any.
  bool release();

 private:
  std::mt19937_64 random_;
  bool seeded_;
  std::vector<bool> late_;         ///< [warps]
  std::uint64_t rounds_left_ = 0;  ///< Until others are late.
  bool some_waited_ = false;       ///< In this round.
};

}  // namespace emulator
