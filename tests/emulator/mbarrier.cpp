#include "emulator/mbarrier.h"

#include "emulator/access.h"
#include "emulator/memory.h"

namespace emulator {
namespace {

using u32 = std::uint32_t;
using u64 = std::uint64_t;

constexpr u32 kMostArrivals = (1u << 20) - 1;
constexpr std::int64_t kMostBytes = (1 << 20) - 1;

/// The eight bytes of a barrier. All bits set, as fresh shared memory is, is none.
struct State {
  u32 phase = 0, expected = 0, pending = 0;
  std::int64_t bytes = 0;

  static State unpack(u64 bits, u64 address) {
    State state;
    state.phase = static_cast<u32>(bits & 1);
    state.expected = static_cast<u32>(bits >> 1) & kMostArrivals;
    state.pending = static_cast<u32>(bits >> 21) & kMostArrivals;
    state.bytes = static_cast<std::int64_t>(bits) >> 41;
    if (state.expected == 0 || state.expected == kMostArrivals || state.pending > kMostArrivals - 1)
      fault("there is no initialised mbarrier at shared address {:#x}", address);
    return state;
  }
  u64 pack() const { return static_cast<u64>(bytes) << 41 | u64{pending} << 21 | u64{expected} << 1 | phase; }
  void complete_if_done() {
    if (pending != 0 || bytes != 0) return;
    phase ^= 1;
    pending = expected;
  }
};

struct Place {
  std::byte* at;
  u64 address;

  Place(Block& block, u64 address_) : address(address_ & ~kWindowMask) {
    if (address % 8 != 0) fault("an mbarrier at {:#x} is not aligned to 8 bytes", address);
    at = shared_at(block, address, 8);
  }
  State load() const {
    u64 bits;
    std::memcpy(&bits, at, 8);
    return State::unpack(bits, address);
  }
  void store(const State& state) const {
    const u64 bits = state.pack();
    std::memcpy(at, &bits, 8);
  }
};

void arrive_at(const Place& place, u32 count) {
  State state = place.load();
  if (count > state.pending)
    fault("{} arrivals at the mbarrier {:#x}, which waits for {} more of {} in this phase", count,
          place.address, state.pending, state.expected);
  state.pending -= count;
  state.complete_if_done();
  place.store(state);
}
void expect_at(const Place& place, std::int64_t bytes) {
  State state = place.load();
  state.bytes += bytes;
  if (state.bytes > kMostBytes || state.bytes < -kMostBytes)
    fault("the mbarrier {:#x} would have to count {} bytes, more than it can", place.address, state.bytes);
  state.complete_if_done();
  place.store(state);
}

u32 count_of(Warp& w, u32 slot, int lane) {
  return slot == kNone ? 1 : w.lanes<u32>(slot)[lane];
}
/// The lanes' own state of the barrier, which a test compares with: its phase.
void give_state(Warp& w, const Instruction& in, int lane, u64 phase) {
  if (in.dst != kNone) w.lanes<u64>(in.dst)[lane] = phase;
}

Status initialise(Warp& w, const Instruction& in, u32 mask) {
  for (u32 rest = mask; rest != 0; rest &= rest - 1) {
    const int lane = __builtin_ctz(rest);
    const u32 count = w.lanes<u32>(in.b)[lane];
    if (count == 0 || count >= kMostArrivals) fault("an mbarrier for {} arrivals", count);
    State state;
    state.expected = state.pending = count;
    Place(*w.block, address_of(w, in, lane)).store(state);
  }
  return Status::next;
}
Status invalidate(Warp& w, const Instruction& in, u32 mask) {
  for (u32 rest = mask; rest != 0; rest &= rest - 1) {
    const Place place(*w.block, address_of(w, in, __builtin_ctz(rest)));
    place.load();
    std::memset(place.at, 0xFF, 8);
  }
  return Status::next;
}

/// aux[0]: expects b bytes first, and then arrives once; else arrives b times. aux[1]: does not arrive.
Status arrive_lanes(Warp& w, const Instruction& in, u32 mask) {
  for (u32 rest = mask; rest != 0; rest &= rest - 1) {
    const int lane = __builtin_ctz(rest);
    const Place place(*w.block, address_of(w, in, lane));
    give_state(w, in, lane, place.load().phase);
    if (in.aux[0] != 0) {
      // Announced together with the arrival: the phase cannot end in between.
      State state = place.load();
      state.bytes += w.lanes<u32>(in.b)[lane];
      if (in.aux[1] == 0 && state.pending == 0) arrive_at(place, 1);
      if (in.aux[1] == 0) --state.pending;
      if (state.bytes > kMostBytes)
        fault("the mbarrier {:#x} would have to count {} bytes", place.address, state.bytes);
      state.complete_if_done();
      place.store(state);
    } else {
      arrive_at(place, count_of(w, in.b, lane));
    }
  }
  return Status::next;
}

/// aux[0]: b is a parity, else a state. aux[1]: does not wait.
Status wait_lanes(Warp& w, const Instruction& in, u32 mask) {
  u32 complete = 0;
  for (u32 rest = mask; rest != 0; rest &= rest - 1) {
    const int lane = __builtin_ctz(rest);
    const State state = Place(*w.block, address_of(w, in, lane)).load();
    const u32 phase = in.aux[0] != 0 ? w.lanes<u32>(in.b)[lane] : static_cast<u32>(w.lanes<u64>(in.b)[lane]);
    if (phase > 1) fault("parity {} of an mbarrier", phase);
    complete |= static_cast<u32>(state.phase != phase) << lane;
  }
  if (complete != mask && in.aux[1] == 0) return Status::blocked;
  w.set_predicate(in.dst, mask, complete);
  return complete == mask ? Status::next : Status::yield;
}

void build_barrier(Decoder& d, Instruction& in) {
  const auto& op = d.statement().op;
  if (op[1] == "init") {
    d.address(d.operand(0), in);
    in.b = d.source(d.operand(1), Type::u32);
    in.run = initialise;
  } else if (op[1] == "inval") {
    d.address(d.operand(0), in);
    in.run = invalidate;
  } else if (op[1] == "arrive" || op[1] == "expect_tx") {
    const bool only_expects = op[1] == "expect_tx";
    const std::size_t first = only_expects ? 0 : 1;
    if (d.has("noComplete")) d.unsupported();
    if (!only_expects && d.operand(0).kind != Operand::Kind::sink) in.dst = d.target(d.operand(0));
    d.address(d.operand(first), in);
    if (d.operands() > first + 1) in.b = d.source(d.operand(first + 1), Type::u32);
    in.aux[0] = only_expects || d.has("expect_tx");
    in.aux[1] = only_expects;
    in.run = arrive_lanes;
  } else if (op[1] == "try_wait" || op[1] == "test_wait") {
    in.dst = d.named_predicate(d.operand(0).name);
    d.address(d.operand(1), in);
    in.aux[0] = d.has("parity");
    in.aux[1] = op[1] == "test_wait";
    in.b = d.source(d.operand(2), in.aux[0] != 0 ? Type::u32 : Type::u64);
    in.run = wait_lanes;
  }
}

}  // namespace

void arrive(Block& block, u64 address, u32 count) {
  arrive_at(Place(block, address), count);
}
void add_pending(Block& block, u64 address, u32 count) {
  const Place place(block, address);
  State state = place.load();
  state.pending += count;
  place.store(state);
}
void expect_bytes(Block& block, u64 address, std::int64_t bytes) {
  expect_at(Place(block, address), bytes);
}

void add_mbarrier(Families& families) {
  families["mbarrier"] = build_barrier;
}

}  // namespace emulator
