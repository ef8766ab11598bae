// Warp: 32 lanes that run a program. Lanes whose paths have parted run in groups, the one furthest behind
// first, so that they meet again where a compiler lets them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "emulator/fault.h"
#include "emulator/program.h"

namespace emulator {

struct Block;
struct Range;

inline constexpr std::uint32_t kAll = 0xffffffffu;

/// A copy by cp.async, performed when it is waited for.
struct PendingCopy {
  int lane;
  std::uint32_t group;  ///< How many groups the lane had closed before.
  std::uint64_t shared;
  std::uint64_t global;
  int bytes, valid_bytes;
  int line;
};

struct Bulk;

/// What a lane has issued of bulk copies out of shared memory, group by group.
struct BulkGroups {
  std::vector<std::shared_ptr<Bulk>> open;
  std::deque<std::vector<std::shared_ptr<Bulk>>> closed;
};

class Warp {
 public:
  Warp(Block& block, int index, std::uint32_t lanes, Range* ranges);

  /// Runs up to `budget` instructions; ends early where nothing can run. Returns how many were done.
  std::uint64_t run(std::uint64_t budget);
  bool has_ended() const { return alive == 0; }
  /// "warp 3: lanes 0000ffff at line 12: bar.sync 0;", a line per group.
  std::string where() const;

  template <class T>
  T* lanes(std::uint32_t slot) {
    return reinterpret_cast<T*>(file_.get() + slot);
  }
  std::uint32_t& predicate(std::uint32_t slot) { return *lanes<std::uint32_t>(slot); }
  void set_predicate(std::uint32_t slot, std::uint32_t mask, std::uint32_t value) {
    predicate(slot) = (predicate(slot) & ~mask) | (value & mask);
  }
  const std::uint32_t* list(const Instruction& in) const { return program->lists.data() + in.list; }

  void jump(std::uint32_t mask, std::uint32_t target);
  void exit(std::uint32_t mask);

  Block* block;
  const Program* program;
  int index;
  std::uint32_t alive;
  Range* ranges;  ///< Where each memory instruction last found its addresses; of this host thread.
  std::uint32_t ended_lanes = 0;

  struct {
    bool arrived = false;
    std::uint64_t generation = 0;
    std::uint32_t value = 0;
  } barrier;  ///< The named barrier that the warp waits at.
  bool cluster_arrived = false;
  std::uint64_t cluster_generation = 0;

  std::vector<PendingCopy> copies;
  std::array<std::uint32_t, 32> copy_groups = {};  ///< Closed so far.
  std::unique_ptr<std::array<BulkGroups, 32>> bulk;
  std::vector<std::byte> local;

 private:
  void regroup();
  void hold();
  void leave_group();

  struct Free {
    void operator()(std::byte* p) const { std::free(p); }
  };
  std::unique_ptr<std::byte, Free> file_;
  std::uint32_t group_ = 0, stalled_ = 0;
  std::uint32_t resting_ = 0;  ///< Lanes that used up their turn: the others of the warp are next.
  std::uint32_t pc_ = 0;
  std::uint32_t meeting_ = kNone;  ///< Where the group meets the lanes nearest ahead of it.
  std::uint32_t lane_pc_[32] = {};
};

/// The element type of a register that holds a T: 16-bit values lie in 32-bit lanes.
template <class T>
using Cell = std::conditional_t<sizeof(T) >= 4, T, std::uint32_t>;
template <class T>
inline T from_cell(Cell<T> cell) {
  if constexpr (sizeof(T) >= 4) {
    return cell;
  } else {
    return static_cast<T>(cell);
  }
}
template <class T>
inline Cell<T> to_cell(T value) {
  if constexpr (sizeof(T) >= 4) {
    return value;
  } else {
    return static_cast<std::make_unsigned_t<T>>(value);
  }
}

#if defined(__clang__)
#define EMULATOR_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define EMULATOR_INDEPENDENT _Pragma("GCC ivdep")
#endif

/// body(lane) for the lanes of `mask`; all 32 in a loop that compilers vectorise.
template <class Body>
inline void each_lane(std::uint32_t mask, const Body& body) {
  if (mask == kAll) {
    EMULATOR_INDEPENDENT
    for (int lane = 0; lane < 32; ++lane) body(lane);
  } else {
    for (std::uint32_t rest = mask; rest != 0; rest &= rest - 1) body(__builtin_ctz(rest));
  }
}

template <class D, class A, class F>
Handler unary(F) {
  return +[](Warp& w, const Instruction& in, std::uint32_t mask) {
    Cell<D>* const d = w.lanes<Cell<D>>(in.dst);
    const Cell<A>* const a = w.lanes<Cell<A>>(in.a);
    each_lane(mask, [=](int i) { d[i] = to_cell<D>(F{}(from_cell<A>(a[i]))); });
    return Status::next;
  };
}

template <class D, class A, class B, class F>
Handler binary(F) {
  return +[](Warp& w, const Instruction& in, std::uint32_t mask) {
    Cell<D>* const d = w.lanes<Cell<D>>(in.dst);
    const Cell<A>* const a = w.lanes<Cell<A>>(in.a);
    const Cell<B>* const b = w.lanes<Cell<B>>(in.b);
    each_lane(mask, [=](int i) { d[i] = to_cell<D>(F{}(from_cell<A>(a[i]), from_cell<B>(b[i]))); });
    return Status::next;
  };
}

template <class D, class A, class B, class C, class F>
Handler ternary(F) {
  return +[](Warp& w, const Instruction& in, std::uint32_t mask) {
    Cell<D>* const d = w.lanes<Cell<D>>(in.dst);
    const Cell<A>* const a = w.lanes<Cell<A>>(in.a);
    const Cell<B>* const b = w.lanes<Cell<B>>(in.b);
    const Cell<C>* const c = w.lanes<Cell<C>>(in.c);
    each_lane(mask, [=](int i) {
      d[i] = to_cell<D>(F{}(from_cell<A>(a[i]), from_cell<B>(b[i]), from_cell<C>(c[i])));
    });
    return Status::next;
  };
}

}  // namespace emulator
