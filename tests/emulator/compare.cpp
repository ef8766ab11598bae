// setp, set, selp, slct and testp.
#include <bit>
#include <cmath>

#include "emulator/decoder.h"
#include "emulator/half.h"
#include "emulator/warp.h"

namespace emulator {
namespace {

using u16 = std::uint16_t;
using u32 = std::uint32_t;

struct AsF16 {
  using Cell = u32;
  static float open(u32 bits) { return from_f16(static_cast<u16>(bits)); }
};
struct AsBf16 {
  using Cell = u32;
  static float open(u32 bits) { return from_bf16(static_cast<u16>(bits)); }
};
template <class T>
struct As {
  using Cell = emulator::Cell<T>;
  static T open(Cell cell) { return from_cell<T>(cell); }
};

/// Writes what came of a comparison, a bit per lane, after combining it with the predicate c.
Status finish(Warp& w, const Instruction& in, u32 mask, u32 bits) {
  const auto combined = [&](u32 compared) {
    if (in.c == kNone) return compared;
    const u32 other = w.predicate(in.c) ^ (in.aux[1] != 0 ? kAll : 0);
    return in.aux[0] == 0 ? compared & other : in.aux[0] == 1 ? compared | other : compared ^ other;
  };
  const u32 first = combined(bits), second = combined(~bits);
  if (in.aux[2] == 0) {
    w.set_predicate(in.dst, mask, first);
    if (in.d != kNone) w.set_predicate(in.d, mask, second);
  } else {
    const u32 yes = static_cast<u32>(in.aux[2]);
    u32* const to = w.lanes<u32>(in.dst);
    each_lane(mask, [=](int i) { to[i] = (first >> i & 1) != 0 ? yes : 0; });
  }
  return Status::next;
}

template <class S, class F>
Handler comparison(F) {
  return +[](Warp& w, const Instruction& in, u32 mask) {
    const auto* const a = w.lanes<typename S::Cell>(in.a);
    const auto* const b = w.lanes<typename S::Cell>(in.b);
    u32 bit[32];
    EMULATOR_INDEPENDENT
    for (int i = 0; i < 32; ++i) bit[i] = F{}(S::open(a[i]), S::open(b[i])) ? 1u : 0u;
    u32 result = 0;
    for (int i = 0; i < 32; ++i) result |= bit[i] << i;
    return finish(w, in, mask, result);
  };
}

template <class S>
Handler named(std::string_view op) {
  if (op == "eq") return comparison<S>([](auto a, auto b) { return a == b; });
  if (op == "ne") return comparison<S>([](auto a, auto b) { return a == a && b == b && a != b; });
  if (op == "lt" || op == "lo") return comparison<S>([](auto a, auto b) { return a < b; });
  if (op == "le" || op == "ls") return comparison<S>([](auto a, auto b) { return a <= b; });
  if (op == "gt" || op == "hi") return comparison<S>([](auto a, auto b) { return a > b; });
  if (op == "ge" || op == "hs") return comparison<S>([](auto a, auto b) { return a >= b; });
  if (op == "equ") return comparison<S>([](auto a, auto b) { return !(a < b || a > b); });
  if (op == "neu") return comparison<S>([](auto a, auto b) { return a != b; });
  if (op == "ltu") return comparison<S>([](auto a, auto b) { return !(a >= b); });
  if (op == "leu") return comparison<S>([](auto a, auto b) { return !(a > b); });
  if (op == "gtu") return comparison<S>([](auto a, auto b) { return !(a <= b); });
  if (op == "geu") return comparison<S>([](auto a, auto b) { return !(a < b); });
  if (op == "num") return comparison<S>([](auto a, auto b) { return a == a && b == b; });
  if (op == "nan") return comparison<S>([](auto a, auto b) { return a != a || b != b; });
  return nullptr;
}

Handler compare_of(Type type, std::string_view op) {
  switch (type) {
    case Type::b16:
    case Type::u16:
      return named<As<u16>>(op);
    case Type::s16:
      return named<As<std::int16_t>>(op);
    case Type::b32:
    case Type::u32:
      return named<As<u32>>(op);
    case Type::s32:
      return named<As<std::int32_t>>(op);
    case Type::b64:
    case Type::u64:
      return named<As<std::uint64_t>>(op);
    case Type::s64:
      return named<As<std::int64_t>>(op);
    case Type::f32:
      return named<As<float>>(op);
    case Type::f64:
      return named<As<double>>(op);
    case Type::f16:
      return named<AsF16>(op);
    case Type::bf16:
      return named<AsBf16>(op);
    default:
      return nullptr;
  }
}

void compare(Decoder& d, Instruction& in) {
  const Statement& s = d.statement();
  const bool to_register = s.op[0] == "set";
  const Type type = d.type();
  in.run = compare_of(type, s.op.at(1));
  if (in.run == nullptr) d.unsupported();
  const Operand& to = d.operand(0);
  if (to_register) {
    in.dst = d.target(to);
    in.aux[2] = static_cast<int>(d.type(1) == Type::f32 ? 0x3f800000u : kAll);
  } else {
    in.dst = to.kind == Operand::Kind::sink ? d.target(to) : d.named_predicate(to.name);
    if (!to.predicate.empty() && to.predicate != "_") in.d = d.named_predicate(to.predicate);
  }
  in.a = d.source(d.operand(1), type);
  in.b = d.source(d.operand(2), type);
  if (d.operands() > 3) {
    in.aux[0] = s.has("and") ? 0 : s.has("or") ? 1 : 2;
    in.c = d.named_predicate(d.operand(3).name);
    in.aux[1] = d.operand(3).negated;
  }
}

template <class T>
Status run_select(Warp& w, const Instruction& in, u32 mask) {
  const T *a = w.lanes<T>(in.a), *b = w.lanes<T>(in.b);
  T* const to = w.lanes<T>(in.dst);
  const u32 chosen = w.predicate(in.c);
  each_lane(mask, [=](int i) { to[i] = (chosen >> i & 1) != 0 ? a[i] : b[i]; });
  return Status::next;
}

void select(Decoder& d, Instruction& in) {
  const Type type = d.type();
  in.dst = d.target(d.operand(0));
  in.a = d.source(d.operand(1), type);
  in.b = d.source(d.operand(2), type);
  in.c = d.predicate(d.operand(3));
  in.run = bytes_of(type) == 8 ? run_select<std::uint64_t> : run_select<u32>;
}

template <class F>
Handler tested(F) {
  return +[](Warp& w, const Instruction& in, u32 mask) {
    const float* const a = w.lanes<float>(in.a);
    u32 result = 0;
    for (int i = 0; i < 32; ++i) result |= (F{}(a[i]) ? 1u : 0u) << i;
    return finish(w, in, mask, result);
  };
}

void test_property(Decoder& d, Instruction& in) {
  if (d.type() != Type::f32) d.unsupported();
  in.dst = d.named_predicate(d.operand(0).name);
  in.a = d.source(d.operand(1), Type::f32);
  in.run = d.has("finite")       ? tested([](float x) { return std::isfinite(x); })
           : d.has("infinite")   ? tested([](float x) { return std::isinf(x); })
           : d.has("number")     ? tested([](float x) { return x == x; })
           : d.has("notanumber") ? tested([](float x) { return x != x; })
           : d.has("normal")     ? tested([](float x) { return std::isnormal(x); })
                                 : nullptr;
}

}  // namespace

void add_compare(Families& families) {
  families["setp"] = families["set"] = compare;
  families["selp"] = select;
  families["testp"] = test_property;
}

}  // namespace emulator
