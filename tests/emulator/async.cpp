// cp.async: copies that each thread waits for. They are performed when they are waited for, and not before.
#include "emulator/async.h"

#include <algorithm>

#include "emulator/block.h"
#include "emulator/mbarrier.h"
#include "emulator/memory.h"

namespace emulator {
namespace {

using u32 = std::uint32_t;
using u64 = std::uint64_t;

/// in.a, offset: shared; in.b, aux[1]: global; aux[0]: bytes; in.c: how many of them are read.
Status copy(Warp& w, const Instruction& in, u32 mask) {
  const auto bytes = static_cast<u64>(in.aux[0]);
  Range& range = w.ranges[in.memory];
  for (u32 rest = mask; rest != 0; rest &= rest - 1) {
    const int lane = __builtin_ctz(rest);
    const u64 to = address_of(w, in, lane), from = w.lanes<u64>(in.b)[lane] + static_cast<u64>(in.aux[1]);
    const u64 valid = in.c == kNone ? bytes : w.lanes<u32>(in.c)[lane];
    if (valid > bytes) fault("cp.async of {} bytes is to read {}", bytes, valid);
    if (to % bytes != 0 || from % bytes != 0)
      fault("cp.async of {} bytes from {:#x} to {:#x} of shared memory: both must be aligned to as many",
            bytes, from, to);
    shared_at(*w.block, to, bytes);
    if (valid != 0 && !range.holds(from, valid)) {
      check_global(from, valid, "global");
      range = find_allocation(from, valid);
    }
    w.copies.push_back({lane, w.copy_groups[static_cast<std::size_t>(lane)], to, from, in.aux[0],
                        static_cast<int>(valid), in.line});
  }
  return Status::next;
}

void perform(Warp& w, const PendingCopy& copy) {
  std::byte* const to = shared_at(*w.block, copy.shared, static_cast<std::size_t>(copy.bytes));
  const auto valid = static_cast<std::size_t>(copy.valid_bytes);
  if (valid != 0)
    std::memcpy(to, reinterpret_cast<const void*>(static_cast<std::uintptr_t>(copy.global)), valid);
  std::memset(to + valid, 0, static_cast<std::size_t>(copy.bytes) - valid);
}

/// Performs those of the lanes' copies that are in a group that was closed before the last `pending` ones.
void finish(Warp& w, u32 mask, u32 pending, bool also_open) {
  const auto is_due = [&](const PendingCopy& copy) {
    if ((mask >> copy.lane & 1) == 0) return false;
    return also_open || copy.group + pending < w.copy_groups[static_cast<std::size_t>(copy.lane)];
  };
  std::size_t kept = 0;
  for (const PendingCopy& copy : w.copies) {
    if (is_due(copy)) {
      perform(w, copy);
    } else {
      w.copies[kept++] = copy;
    }
  }
  w.copies.resize(kept);
}

Status close_group(Warp& w, const Instruction&, u32 mask) {
  for (u32 rest = mask; rest != 0; rest &= rest - 1)
    ++w.copy_groups[static_cast<std::size_t>(__builtin_ctz(rest))];
  return Status::next;
}
Status wait_group(Warp& w, const Instruction& in, u32 mask) {
  finish(w, mask, static_cast<u32>(in.aux[0]), false);
  return Status::next;
}
Status wait_all(Warp& w, const Instruction&, u32 mask) {
  finish(w, mask, 0, true);
  return Status::next;
}

/// Arrives at the barrier when all copies of the lane so far are done: some rounds later.
template <bool kCounted>
Status arrive_after_copies(Warp& w, const Instruction& in, u32 mask) {
  for (u32 rest = mask; rest != 0; rest &= rest - 1) {
    const int lane = __builtin_ctz(rest);
    const u64 barrier = address_of(w, in, lane);
    std::vector<PendingCopy> mine;
    std::erase_if(w.copies, [&](const PendingCopy& copy) {
      if (copy.lane != lane) return false;
      mine.push_back(copy);
      return true;
    });
    if (kCounted) add_pending(*w.block, barrier, 1);
    w.block->cluster->after(3, [&w, barrier, mine = std::move(mine)] {
      for (const PendingCopy& copy : mine) perform(w, copy);
      arrive(*w.block, barrier, 1);
    });
  }
  return Status::next;
}

/// in.a, offset: shared; in.b: the word; in.c, aux[1]: the barrier.
Status store_async(Warp& w, const Instruction& in, u32 mask) {
  for (u32 rest = mask; rest != 0; rest &= rest - 1) {
    const int lane = __builtin_ctz(rest);
    const u64 to = address_of(w, in, lane);
    const u64 barrier = w.lanes<u32>(in.c)[lane] + static_cast<u32>(in.aux[1]);
    const u32 word = w.lanes<u32>(in.b)[lane];
    if (to % 4 != 0) fault("st.async of 4 bytes to {:#x}, which is not aligned to as many", to);
    w.block->cluster->after(3, [&w, to, barrier, word] {
      std::memcpy(shared_at(*w.block, to, 4), &word, 4);
      expect_bytes(*w.block, barrier, -4);
    });
  }
  return Status::next;
}

void build_copy(Decoder& d, Instruction& in) {
  if (d.has("bulk")) return build_bulk(d, in);
  if (d.has("commit_group")) {
    in.run = close_group;
  } else if (d.has("wait_group")) {
    in.aux[0] = static_cast<int>(d.literal(d.operand(0)));
    in.run = wait_group;
  } else if (d.has("wait_all")) {
    in.run = wait_all;
  } else if (d.has("mbarrier")) {
    d.address(d.operand(0), in);
    in.run = d.has("noinc") ? arrive_after_copies<false> : arrive_after_copies<true>;
  } else {
    d.address(d.operand(0), in);
    const Operand& from = d.operand(1);
    if (from.kind != Operand::Kind::address) d.unsupported();
    in.b = d.source(from.parts.at(0), Type::u64);
    in.aux[1] = static_cast<int>(from.bits);
    in.aux[0] = static_cast<int>(d.literal(d.operand(2)));
    const bool has_policy = d.has("L2::cache_hint");
    if (d.operands() > (has_policy ? 4u : 3u)) in.c = d.source(d.operand(3), Type::u32);
    in.memory = d.new_memory_index();
    in.run = copy;
  }
}

}  // namespace

void build_store_async(Decoder& d, Instruction& in) {
  if (!d.has("mbarrier::complete_tx::bytes") || bytes_of(d.type()) != 4 || d.has("v2") || d.has("v4"))
    d.unsupported();
  d.address(d.operand(0), in);
  in.b = d.source(d.operand(1), Type::b32);
  const Operand& barrier = d.operand(2);
  if (barrier.kind != Operand::Kind::address) d.unsupported();
  in.c = d.source(barrier.parts.at(0), Type::u32);
  in.aux[1] = static_cast<int>(barrier.bits);
  in.run = store_async;
}

void add_async(Families& families) {
  families["cp"] = build_copy;
  families["createpolicy"] = [](Decoder& d, Instruction& in) {
    in.dst = d.target(d.operand(0));
    in.run = [](Warp& w, const Instruction& i, u32 mask) {
      each_lane(mask, [&](int lane) { w.lanes<u64>(i.dst)[lane] = 0; });
      return Status::next;
    };
  };
}

}  // namespace emulator
