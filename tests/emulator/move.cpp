// mov, between registers and vectors of them, and cvta between spaces.
#include <chrono>

#include "emulator/decoder.h"
#include "emulator/memory.h"
#include "emulator/warp.h"

namespace emulator {
namespace {

using u32 = std::uint32_t;
using u64 = std::uint64_t;

Status move_predicate(Warp& w, const Instruction& in, u32 mask) {
  w.set_predicate(in.dst, mask, w.predicate(in.a));
  return Status::next;
}

/// d = {low, high}: aux[0] elements of aux[1] bits.
template <class D>
Status pack(Warp& w, const Instruction& in, u32 mask) {
  const u32* const list = w.list(in);
  each_lane(mask, [&](int lane) {
    D value = 0;
    for (int i = 0; i < in.aux[0]; ++i) {
      const D element = in.aux[1] == 16 ? w.lanes<u32>(list[i])[lane] & 0xffff : w.lanes<u32>(list[i])[lane];
      value |= element << (i * in.aux[1]);
    }
    w.lanes<D>(in.dst)[lane] = value;
  });
  return Status::next;
}
/// {low, high} = a
template <class D>
Status unpack(Warp& w, const Instruction& in, u32 mask) {
  const u32* const list = w.list(in);
  each_lane(mask, [&](int lane) {
    const D value = w.lanes<D>(in.a)[lane];
    for (int i = 0; i < in.aux[0]; ++i) {
      const auto element = static_cast<u32>(value >> (i * in.aux[1]));
      w.lanes<u32>(list[i])[lane] = in.aux[1] == 16 ? element & 0xffff : element;
    }
  });
  return Status::next;
}

u64 nanoseconds() {
  return static_cast<u64>(std::chrono::steady_clock::now().time_since_epoch().count());
}
Status read_clock(Warp& w, const Instruction& in, u32 mask) {
  const u64 now = nanoseconds();
  each_lane(mask, [&](int lane) {
    if (in.aux[0] == 8) {
      w.lanes<u64>(in.dst)[lane] = now;
    } else {
      w.lanes<u32>(in.dst)[lane] = static_cast<u32>(now);
    }
  });
  return Status::next;
}

void move(Decoder& d, Instruction& in) {
  const Type type = d.type();
  const Operand &to = d.operand(0), &from = d.operand(1);
  const bool packs = from.kind == Operand::Kind::vector, unpacks = to.kind == Operand::Kind::vector;
  if (type == Type::pred) {
    in.dst = d.named_predicate(to.name);
    in.a = d.predicate(from);
    in.run = move_predicate;
  } else if (packs || unpacks) {
    const Operand& vector = packs ? from : to;
    in.aux[0] = static_cast<int>(vector.parts.size());
    in.aux[1] = 8 * bytes_of(type) / in.aux[0];
    if (in.aux[1] != 16 && in.aux[1] != 32) d.unsupported();
    const bool wide = bytes_of(type) == 8;
    if (packs) {
      in.dst = d.target(to);
      d.append_sources(in, vector, in.aux[1] == 16 ? Type::b16 : Type::b32);
      in.run = wide ? pack<u64> : pack<u32>;
    } else {
      in.a = d.source(from, type);
      d.append_targets(in, vector);
      in.run = wide ? unpack<u64> : unpack<u32>;
    }
  } else {
    in.dst = d.target(to);
    if (from.name == "%clock" || from.name == "%clock64" || from.name == "%globaltimer") {
      in.aux[0] = bytes_of(type);
      in.run = read_clock;
      return;
    }
    in.a = d.source(from, type);
    in.run = bytes_of(type) == 8 ? unary<u64, u64>([](u64 a) { return a; })
                                 : unary<u32, u32>([](u32 a) { return a; });
  }
}

u64 window_of(Decoder& d) {
  return d.has("shared") || d.has("shared::cta") || d.has("shared::cluster") ? kSharedWindow
         : d.has("local")                                                    ? kLocalWindow
         : d.has("param")                                                    ? kParamWindow
                                                                             : 0;
}

void convert_address(Decoder& d, Instruction& in) {
  const Type type = d.type();
  if (bytes_of(type) != 8) d.unsupported();
  in.dst = d.target(d.operand(0));
  in.a = d.source(d.operand(1), type);
  in.b = d.constant(Type::u64, window_of(d));
  in.run = d.has("to") ? binary<u64, u64, u64>([](u64 a, u64 window) { return a - window; })
                       : binary<u64, u64, u64>([](u64 a, u64 window) { return a + window; });
}

Status run_is_space(Warp& w, const Instruction& in, u32 mask) {
  const u64* const a = w.lanes<u64>(in.a);
  const u64 window = w.lanes<u64>(in.b)[0];
  u32 result = 0;
  for (int lane = 0; lane < 32; ++lane) result |= ((a[lane] & kWindowMask) == window ? 1u : 0u) << lane;
  w.set_predicate(in.dst, mask, result);
  return Status::next;
}

void is_space(Decoder& d, Instruction& in) {
  in.dst = d.named_predicate(d.operand(0).name);
  in.a = d.source(d.operand(1), Type::u64);
  in.b = d.constant(Type::u64, window_of(d));
  in.run = run_is_space;
}

/// The same place in the shared memory of another block of the cluster.
template <class T>
Status run_map(Warp& w, const Instruction& in, u32 mask) {
  each_lane(mask, [&](int lane) {
    const u64 address = w.lanes<T>(in.a)[lane];
    const u64 rank = w.lanes<u32>(in.b)[lane];
    const u64 window = address & kWindowMask;
    if ((address & ~kWindowMask) >> 24 != 0) fault("mapa of an address that is in another block already");
    w.lanes<T>(in.dst)[lane] = static_cast<T>(address | (rank + 1) << 24 | window);
  });
  return Status::next;
}

void map_address(Decoder& d, Instruction& in) {
  const bool wide = bytes_of(d.type()) == 8;
  in.dst = d.target(d.operand(0));
  in.a = d.source(d.operand(1), d.type());
  in.b = d.source(d.operand(2), Type::u32);
  in.run = wide ? run_map<u64> : run_map<u32>;
}

}  // namespace

void add_move(Families& families) {
  families["mov"] = move;
  families["cvta"] = convert_address;
  families["isspacep"] = is_space;
  families["mapa"] = map_address;
}

}  // namespace emulator
