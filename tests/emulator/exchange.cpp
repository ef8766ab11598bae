// What lanes of a warp tell each other: shfl, vote, match, redux, elect, activemask.
#include <algorithm>

#include "emulator/decoder.h"
#include "emulator/warp.h"

namespace emulator {
namespace {

using u32 = std::uint32_t;
using s32 = std::int32_t;

/// Whether all lanes that slot `a` names are here; those that have ended need not be.
bool all_here(Warp& w, u32 slot, u32 mask) {
  const u32* const named = w.lanes<u32>(slot);
  u32 wanted = 0;
  for (u32 rest = mask; rest != 0; rest &= rest - 1) {
    const int lane = __builtin_ctz(rest);
    if ((named[lane] >> lane & 1) == 0)
      fault("lane {} is not in the mask {:08x} that it gives", lane, named[lane]);
    wanted |= named[lane];
  }
  return (wanted & w.alive & ~mask) == 0;
}

enum Mode { up, down, butterfly, index };

template <int kMode>
Status shuffle(Warp& w, const Instruction& in, u32 mask) {
  if (!all_here(w, in.d, mask)) return Status::blocked;
  const u32 *a = w.lanes<u32>(in.a), *b = w.lanes<u32>(in.b), *c = w.lanes<u32>(in.c);
  u32 result[32], inside = 0;
  for (int lane = 0; lane < 32; ++lane) {
    const int step = static_cast<int>(b[lane] & 31), clamp = static_cast<int>(c[lane] & 31);
    const int segment = static_cast<int>(c[lane] >> 8 & 31);
    const int low = lane & segment, high = low | (clamp & ~segment);
    int from = lane;
    bool is_inside = false;
    if (kMode == up) from = lane - step, is_inside = from >= high;
    if (kMode == down) from = lane + step, is_inside = from <= high;
    if (kMode == butterfly) from = lane ^ step, is_inside = from <= high;
    if (kMode == index) from = low | (step & ~segment), is_inside = from <= high;
    if (!is_inside) from = lane;
    inside |= static_cast<u32>(is_inside) << lane;
    if ((mask >> lane & 1) != 0 && (mask >> from & 1) == 0)
      fault("lane {} reads from lane {}, which does not take part", lane, from);
    result[lane] = a[from];
  }
  u32* const to = w.lanes<u32>(in.dst);
  each_lane(mask, [&](int lane) { to[lane] = result[lane]; });
  if (in.aux[0] >= 0) w.set_predicate(static_cast<u32>(in.aux[0]), mask, inside);
  return Status::next;
}

void shuffle_lanes(Decoder& d, Instruction& in) {
  if (!d.has("sync")) d.unsupported();
  const Operand& to = d.operand(0);
  in.dst = d.target(to);
  in.aux[0] =
      to.predicate.empty() || to.predicate == "_" ? -1 : static_cast<int>(d.named_predicate(to.predicate));
  in.a = d.source(d.operand(1), Type::b32);
  in.b = d.source(d.operand(2), Type::b32);
  in.c = d.source(d.operand(3), Type::b32);
  in.d = d.source(d.operand(4), Type::b32);
  in.run = d.has("up")     ? shuffle<up>
           : d.has("down") ? shuffle<down>
           : d.has("bfly") ? shuffle<butterfly>
           : d.has("idx")  ? shuffle<index>
                           : nullptr;
}

enum Vote { all, any, uniform, ballot };

template <int kVote>
Status vote(Warp& w, const Instruction& in, u32 mask) {
  if (!all_here(w, in.d, mask)) return Status::blocked;
  const u32 yes = (w.predicate(in.a) ^ (in.aux[0] != 0 ? kAll : 0)) & mask;
  if (kVote == ballot) {
    each_lane(mask, [&](int lane) { w.lanes<u32>(in.dst)[lane] = yes; });
  } else {
    const bool result = kVote == all ? yes == mask : kVote == any ? yes != 0 : yes == mask || yes == 0;
    w.set_predicate(in.dst, mask, result ? kAll : 0);
  }
  return Status::next;
}

void vote_lanes(Decoder& d, Instruction& in) {
  if (!d.has("sync")) d.unsupported();
  const bool counts = d.has("ballot");
  in.dst = counts ? d.target(d.operand(0)) : d.named_predicate(d.operand(0).name);
  Operand from = d.operand(1);
  in.aux[0] = from.negated;
  from.negated = false;
  in.a = d.predicate(from);
  in.d = d.source(d.operand(2), Type::b32);
  in.run = counts         ? vote<ballot>
           : d.has("all") ? vote<all>
           : d.has("any") ? vote<any>
           : d.has("uni") ? vote<uniform>
                          : nullptr;
}

/// The lanes that have the same value.
template <class T>
Status match(Warp& w, const Instruction& in, u32 mask) {
  if (!all_here(w, in.d, mask)) return Status::blocked;
  const T* const a = w.lanes<T>(in.a);
  bool all_same = true;
  each_lane(mask, [&](int lane) { all_same &= a[lane] == a[__builtin_ctz(mask)]; });
  u32 result[32];
  each_lane(mask, [&](int lane) {
    u32 same = 0;
    for (u32 rest = mask; rest != 0; rest &= rest - 1) {
      const int other = __builtin_ctz(rest);
      if (a[other] == a[lane]) same |= 1u << other;
    }
    result[lane] = in.aux[1] == 0 ? same : all_same ? mask : 0;
  });
  each_lane(mask, [&](int lane) { w.lanes<u32>(in.dst)[lane] = result[lane]; });
  if (in.aux[0] >= 0) w.set_predicate(static_cast<u32>(in.aux[0]), mask, all_same ? kAll : 0);
  return Status::next;
}

void match_lanes(Decoder& d, Instruction& in) {
  const Operand& to = d.operand(0);
  in.dst = d.target(to);
  in.aux[0] =
      to.predicate.empty() || to.predicate == "_" ? -1 : static_cast<int>(d.named_predicate(to.predicate));
  in.aux[1] = d.has("all");
  in.a = d.source(d.operand(1), d.type());
  in.d = d.source(d.operand(2), Type::b32);
  in.run = bytes_of(d.type()) == 8 ? match<std::uint64_t> : match<u32>;
}

template <class T, class F>
Handler reduction(F) {
  return +[](Warp& w, const Instruction& in, u32 mask) {
    if (!all_here(w, in.d, mask)) return Status::blocked;
    const T* const a = w.lanes<T>(in.a);
    T result = a[__builtin_ctz(mask)];
    for (u32 rest = mask & (mask - 1); rest != 0; rest &= rest - 1)
      result = static_cast<T>(F{}(result, a[__builtin_ctz(rest)]));
    for (u32 rest = mask; rest != 0; rest &= rest - 1) w.lanes<T>(in.dst)[__builtin_ctz(rest)] = result;
    return Status::next;
  };
}

void reduce_lanes(Decoder& d, Instruction& in) {
  const Type type = d.type();
  in.dst = d.target(d.operand(0));
  in.a = d.source(d.operand(1), type);
  in.d = d.source(d.operand(2), Type::b32);
  if (type == Type::f32) d.unsupported();
  if (d.has("add")) in.run = reduction<u32>([](u32 a, u32 b) { return a + b; });
  if (d.has("and")) in.run = reduction<u32>([](u32 a, u32 b) { return a & b; });
  if (d.has("or")) in.run = reduction<u32>([](u32 a, u32 b) { return a | b; });
  if (d.has("xor")) in.run = reduction<u32>([](u32 a, u32 b) { return a ^ b; });
  const bool sign = type == Type::s32;
  if (d.has("min"))
    in.run = sign ? reduction<s32>([](s32 a, s32 b) { return std::min(a, b); })
                  : reduction<u32>([](u32 a, u32 b) { return std::min(a, b); });
  if (d.has("max"))
    in.run = sign ? reduction<s32>([](s32 a, s32 b) { return std::max(a, b); })
                  : reduction<u32>([](u32 a, u32 b) { return std::max(a, b); });
}

void elect_lane(Decoder& d, Instruction& in) {
  const Operand& to = d.operand(0);
  in.dst = d.target(to);
  in.aux[0] = static_cast<int>(d.named_predicate(to.predicate));
  in.d = d.source(d.operand(1), Type::b32);
  in.run = [](Warp& w, const Instruction& i, u32 mask) {
    if (!all_here(w, i.d, mask)) return Status::blocked;
    const int leader = __builtin_ctz(mask);
    each_lane(mask, [&](int lane) { w.lanes<u32>(i.dst)[lane] = static_cast<u32>(leader); });
    w.set_predicate(static_cast<u32>(i.aux[0]), mask, 1u << leader);
    return Status::next;
  };
}

void active_lanes(Decoder& d, Instruction& in) {
  in.dst = d.target(d.operand(0));
  in.run = [](Warp& w, const Instruction& i, u32 mask) {
    each_lane(mask, [&](int lane) { w.lanes<u32>(i.dst)[lane] = mask; });
    return Status::next;
  };
}

}  // namespace

void add_exchange(Families& families) {
  families["shfl"] = shuffle_lanes;
  families["vote"] = vote_lanes;
  families["match"] = match_lanes;
  families["redux"] = reduce_lanes;
  families["elect"] = elect_lane;
  families["activemask"] = active_lanes;
}

}  // namespace emulator
