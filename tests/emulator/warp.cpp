#include "emulator/warp.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "emulator/block.h"

namespace emulator {

Warp::Warp(Block& owner, int index_, std::uint32_t lanes_, Range* ranges_)
    : block(&owner), program(owner.cluster->launch->program), index(index_), alive(lanes_), ranges(ranges_) {
  const std::size_t bytes = (program->image.size() + 63) / 64 * 64;
  file_.reset(static_cast<std::byte*>(std::aligned_alloc(64, std::max<std::size_t>(bytes, 64))));
  std::memcpy(file_.get(), program->image.data(), program->image.size());
  for (const auto& [which, slot] : program->specials) {
    auto* const to = lanes<std::uint32_t>(slot);
    for (int lane = 0; lane < 32; ++lane) to[lane] = owner.special(which, index, lane);
  }
  local.assign(32 * program->local_bytes, std::byte{0xFF});
}

// The group's lanes keep their place in pc_ while they run, and in lane_pc_ otherwise.
void Warp::leave_group() {
  for (std::uint32_t rest = group_; rest != 0; rest &= rest - 1) lane_pc_[__builtin_ctz(rest)] = pc_;
}

// Chooses the lanes that are furthest behind among those that have not been found to be blocked.
void Warp::regroup() {
  group_ = 0;
  meeting_ = kNone;
  const std::uint32_t ready = alive & ~stalled_;
  if (ready == 0) return;
  pc_ = kNone;
  for (std::uint32_t rest = ready; rest != 0; rest &= rest - 1)
    pc_ = std::min(pc_, lane_pc_[__builtin_ctz(rest)]);
  for (std::uint32_t rest = alive; rest != 0; rest &= rest - 1) {
    const int lane = __builtin_ctz(rest);
    if (lane_pc_[lane] == pc_) group_ |= 1u << lane;
    if (lane_pc_[lane] > pc_) meeting_ = std::min(meeting_, lane_pc_[lane]);
  }
  stalled_ &= ~group_;
}

void Warp::hold() {
  leave_group();
  stalled_ |= group_;
  regroup();
}

void Warp::jump(std::uint32_t mask, std::uint32_t target) {
  if (mask == group_ && group_ == alive) {
    pc_ = target;
    return;
  }
  ++pc_;
  leave_group();
  for (std::uint32_t rest = mask; rest != 0; rest &= rest - 1) lane_pc_[__builtin_ctz(rest)] = target;
  regroup();
}

void Warp::exit(std::uint32_t mask) {
  ++pc_;
  leave_group();
  alive &= ~mask;
  regroup();
}

std::uint64_t Warp::run(std::uint64_t budget) {
  leave_group();
  stalled_ = resting_;
  regroup();
  std::uint64_t done = 0;
  const Instruction* const code = program->code.data();
  while (done < budget) {
    if (group_ == 0) {
      // Lanes that rest let the others of the warp go first, not for ever.
      if (resting_ == 0) break;
      stalled_ &= ~std::exchange(resting_, 0);
      regroup();
      continue;
    }
    const Instruction& in = code[pc_];
    std::uint32_t mask = group_;
    Status status = Status::next;
    if (in.guard != kNone) mask &= predicate(in.guard) ^ (in.guard_negated ? kAll : 0);
    if (mask != 0) {
      try {
        status = in.run(*this, in, mask);
      } catch (const Fault& fault) {
        throw Fault(fmt::format("{} in kernel {}, {}, warp {}, lanes {:08x}, {}", fault.what(), program->name,
                                block->print(), index, mask, program->print(in)));
      }
    }
    if (status == Status::blocked) {
      hold();
      continue;
    }
    ++done;
    if (status == Status::jumped) continue;
    ++pc_;
    if (pc_ >= meeting_) {
      leave_group();
      regroup();
    }
    if (status == Status::yield) break;
  }
  // Lanes that spin must not keep those of their warp waiting that they spin for.
  resting_ = done >= budget ? group_ : 0;
  return done;
}

std::string Warp::where() const {
  std::uint32_t pcs[32];
  for (int lane = 0; lane < 32; ++lane) pcs[lane] = (group_ >> lane & 1) != 0 ? pc_ : lane_pc_[lane];
  std::string text;
  std::uint32_t rest = alive;
  while (rest != 0) {
    const std::uint32_t pc = pcs[__builtin_ctz(rest)];
    std::uint32_t lanes = 0;
    for (std::uint32_t r = rest; r != 0; r &= r - 1) {
      const int lane = __builtin_ctz(r);
      if (pcs[lane] == pc) lanes |= 1u << lane;
    }
    rest &= ~lanes;
    text += fmt::format("\n  warp {}, lanes {:08x}, {}", index, lanes, program->print(program->code[pc]));
  }
  return text;
}

}  // namespace emulator
