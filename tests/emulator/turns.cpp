#include "emulator/turns.h"

namespace emulator {
namespace {

constexpr std::uint64_t kSlice = 4000;     // instructions of a warp before the next one's turn
constexpr std::uint64_t kMostRounds = 64;  // that a warp is late

}  // namespace

Turns::Turns(std::uint64_t seed, std::uint64_t cluster, std::size_t warps)
    : random_(seed * 0x9e3779b97f4a7c15 + cluster), seeded_(seed != 0), late_(warps) {}

void Turns::begin_round() {
  some_waited_ = false;
  if (!seeded_) return;
  if (rounds_left_ > 0) {
    --rounds_left_;
    return;
  }
  // One warp is late, or about a quarter of them are, or none is.
  rounds_left_ = random_() % kMostRounds;
  late_.assign(late_.size(), false);
  const std::uint64_t kind = random_() % 4;
  if (kind < 2) late_[random_() % late_.size()] = true;
  if (kind == 2) {
    for (std::size_t i = 0; i < late_.size(); ++i) late_[i] = random_() % 4 == 0;
  }
}

std::uint64_t Turns::slice(std::size_t warp) {
  if (!seeded_) return kSlice;
  if (!late_[warp]) return 1 + random_() % kSlice;
  some_waited_ = true;
  return 0;
}

bool Turns::release() {
  if (!some_waited_) return false;
  late_.assign(late_.size(), false);
  rounds_left_ = 1;  // for the next round
  return true;
}

}  // namespace emulator
