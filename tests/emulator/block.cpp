#include "emulator/block.h"

#include <algorithm>

#include "emulator/turns.h"

namespace emulator {
namespace {

constexpr std::uint64_t kMostInstructions = 4'000'000'000;

unsigned flat(const unsigned (&at)[3], const unsigned (&extent)[3]) {
  return (at[2] * extent[1] + at[1]) * extent[0] + at[0];
}

}  // namespace

std::uint32_t Block::special(Special which, int warp, int lane) const {
  const Launch& l = *cluster->launch;
  const unsigned thread = static_cast<unsigned>(warp * 32 + lane);
  const unsigned tid[3] = {thread % l.block[0], thread / l.block[0] % l.block[1],
                           thread / l.block[0] / l.block[1]};
  const auto in = [&](Special first) { return static_cast<int>(which) - static_cast<int>(first); };
  const auto is_one_of = [&](Special first) { return in(first) >= 0 && in(first) < 3; };
  const std::uint32_t bit = 1u << lane, warps = (l.threads() + 31) / 32;
  if (is_one_of(Special::tid_x)) return tid[in(Special::tid_x)];
  if (is_one_of(Special::ntid_x)) return l.block[in(Special::ntid_x)];
  if (is_one_of(Special::ctaid_x)) return id[in(Special::ctaid_x)];
  if (is_one_of(Special::nctaid_x)) return l.grid[in(Special::nctaid_x)];
  if (is_one_of(Special::cluster_ctaid_x)) {
    const int d = in(Special::cluster_ctaid_x);
    return id[d] % l.cluster[d];
  }
  if (is_one_of(Special::cluster_nctaid_x)) return l.cluster[in(Special::cluster_nctaid_x)];
  if (is_one_of(Special::clusterid_x)) {
    const int d = in(Special::clusterid_x);
    return id[d] / l.cluster[d];
  }
  if (is_one_of(Special::nclusterid_x)) {
    const int d = in(Special::nclusterid_x);
    return l.grid[d] / l.cluster[d];
  }
  switch (which) {
    case Special::laneid:
      return static_cast<unsigned>(lane);
    case Special::warpid:
      return static_cast<unsigned>(warp);
    case Special::nwarpid:
      return warps;
    case Special::smid:
      return flat(id, l.grid) % 132;
    case Special::nsmid:
      return 132;
    case Special::lanemask_eq:
      return bit;
    case Special::lanemask_lt:
      return bit - 1;
    case Special::lanemask_le:
      return bit | (bit - 1);
    case Special::lanemask_gt:
      return ~(bit | (bit - 1));
    case Special::lanemask_ge:
      return ~(bit - 1);
    case Special::cluster_ctarank:
      return rank;
    case Special::cluster_nctarank:
      return l.cluster[0] * l.cluster[1] * l.cluster[2];
    case Special::is_explicit_cluster:
      return l.program->cluster[0] != 0 || l.cluster[0] * l.cluster[1] * l.cluster[2] > 1;
    case Special::dynamic_smem_size:
      return l.shared_bytes;
    case Special::total_smem_size:
      return static_cast<std::uint32_t>(shared.size() + kSharedBase);
    default:
      return 0;
  }
}

std::string Block::print() const {
  return fmt::format("block [{}, {}, {}]", id[0], id[1], id[2]);
}

int Block::living_warps() const {
  return static_cast<int>(
      std::count_if(warps.begin(), warps.end(), [](const Warp& w) { return !w.has_ended(); }));
}

void Block::note_end() {
  for (NamedBarrier& barrier : barriers) {
    if (barrier.expected != 0 || barrier.arrived == 0 || barrier.arrived < 32 * living_warps()) continue;
    barrier.arrived = 0;
    barrier.result = barrier.gathered;
    ++barrier.generation;
  }
  cluster->complete_barrier_if_all_arrived();
}

void Cluster::complete_barrier_if_all_arrived() {
  for (const Block& block : blocks) {
    for (const Warp& warp : block.warps) {
      const bool arrived = warp.cluster_arrived && warp.cluster_generation == generation;
      if (!warp.has_ended() && !arrived) return;
    }
  }
  ++generation;
}

void Cluster::after(std::uint64_t rounds, std::function<void()> act) {
  delayed.push_back({round + rounds, std::move(act)});
}

bool Cluster::deliver(bool all) {
  bool any = false;
  // In the order in which they were started; what they start themselves comes later.
  std::vector<Delayed> now;
  std::vector<Delayed> later;
  for (Delayed& d : delayed) (all || d.round <= round ? now : later).push_back(std::move(d));
  delayed = std::move(later);
  for (Delayed& d : now) {
    d.act();
    any = true;
  }
  return any;
}

void Cluster::run() {
  std::uint64_t done = 0;
  Turns turns(launch->seed, flat(first, launch->grid), blocks.size() * blocks.front().warps.size());
  for (bool living = true; living; ++round) {
    bool progress = deliver(false);
    living = false;
    turns.begin_round();
    std::size_t number = 0;
    for (Block& block : blocks) {
      for (Warp& warp : block.warps) {
        const std::size_t i = number++;
        if (warp.has_ended()) continue;
        living = true;
        const std::uint64_t slice = turns.slice(i);
        if (slice == 0) continue;
        const std::uint64_t count = warp.run(slice);
        done += count;
        progress |= count != 0;
      }
    }
    if (living && !progress && !deliver(true) && !turns.release()) report_deadlock();
    if (done > kMostInstructions) {
      fault("kernel {} does not end: {} has run {} instructions{}", launch->program->name,
            blocks.front().print(), done, blocks.front().warps.front().where());
    }
  }
  if (!delayed.empty()) {
    fault(
        "kernel {}, {}: the block has ended while {} asynchronous copies were on their way to or from its "
        "shared memory",
        launch->program->name, blocks.front().print(), delayed.size());
  }
}

void Cluster::report_deadlock() const {
  std::string text = fmt::format("deadlock in kernel {}: no warp can go on", launch->program->name);
  for (const Block& block : blocks) {
    if (block.living_warps() == 0) continue;
    text += "\n " + block.print();
    for (std::size_t i = 0; i < block.barriers.size(); ++i) {
      const NamedBarrier& barrier = block.barriers[i];
      if (barrier.arrived == 0) continue;
      text += fmt::format(", barrier {} has {} of {} threads", i, barrier.arrived,
                          barrier.expected == 0 ? 32 * block.living_warps() : barrier.expected);
    }
    for (const Warp& warp : block.warps) text += warp.where();
  }
  throw Fault(text);
}

SharedPlace shared_place(Block& block, std::uint64_t address, std::size_t bytes) {
  Block* owner = &block;
  const std::uint64_t rank = address >> 24;
  if (rank > block.cluster->blocks.size())
    fault("shared address {:#x} is in no block of the cluster", address);
  if (rank != 0) owner = &block.cluster->blocks[rank - 1];
  const std::uint64_t offset = (address & 0xffffff) - kSharedBase;
  if (offset > owner->shared.size() || bytes > owner->shared.size() - offset) {
    fault("shared address {:#x} + {} bytes is outside of the block's shared memory, {:#x} to {:#x}",
          address & 0xffffff, bytes, kSharedBase, kSharedBase + owner->shared.size());
  }
  if (rank != 0 && owner->living_warps() == 0)
    fault("shared address {:#x} is in a block that has ended", address);
  return {owner, static_cast<std::uint32_t>(offset)};
}

std::byte* shared_at(Block& block, std::uint64_t address, std::size_t bytes) {
  const SharedPlace place = shared_place(block, address, bytes);
  return place.block->shared.data() + place.offset;
}

}  // namespace emulator
