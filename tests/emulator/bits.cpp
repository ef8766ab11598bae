// Logic, shifts, bit fields and permutations.
#include <algorithm>
#include <bit>

#include "emulator/decoder.h"
#include "emulator/warp.h"

namespace emulator {
namespace {

using u32 = std::uint32_t;
using u64 = std::uint64_t;
using s32 = std::int32_t;
using s64 = std::int64_t;

void take_operands(Decoder& d, Instruction& in, Type a, Type b = Type::u32, Type c = Type::u32) {
  in.dst = d.target(d.operand(0));
  in.a = d.source(d.operand(1), a);
  if (d.operands() > 2) in.b = d.source(d.operand(2), b);
  if (d.operands() > 3) in.c = d.source(d.operand(3), c);
}

template <class F>
Handler on_predicates(F) {
  return +[](Warp& w, const Instruction& in, u32 mask) {
    w.set_predicate(in.dst, mask, F{}(w.predicate(in.a), w.predicate(in.b == kNone ? in.a : in.b)));
    return Status::next;
  };
}

template <class F>
void logic(Decoder& d, Instruction& in, F f) {
  const Type type = d.type();
  if (type == Type::pred) {
    in.dst = d.named_predicate(d.operand(0).name);
    in.a = d.predicate(d.operand(1));
    if (d.operands() > 2) in.b = d.predicate(d.operand(2));
    in.run = on_predicates(f);
    return;
  }
  take_operands(d, in, type, type);
  if (d.operands() == 2) in.b = in.a;
  in.run = bytes_of(type) == 8   ? binary<u64, u64, u64>(f)
           : bytes_of(type) == 4 ? binary<u32, u32, u32>(f)
                                 : binary<std::uint16_t, std::uint16_t, std::uint16_t>(f);
}

void shift_left(Decoder& d, Instruction& in) {
  const Type type = d.type();
  take_operands(d, in, type, Type::u32);
  in.run = bytes_of(type) == 8   ? binary<u64, u64, u32>([](u64 a, u32 b) { return b > 63 ? 0 : a << b; })
           : bytes_of(type) == 4 ? binary<u32, u32, u32>([](u32 a, u32 b) { return b > 31 ? 0 : a << b; })
                                 : binary<std::uint16_t, std::uint16_t, u32>([](std::uint16_t a, u32 b) {
                                     return static_cast<std::uint16_t>(b > 15 ? 0 : a << b);
                                   });
}

template <class T>
Handler shifted_right() {
  return binary<T, T, u32>([](T a, u32 b) {
    constexpr u32 kBits = 8 * sizeof(T);
    if constexpr (std::is_signed_v<T>) return static_cast<T>(a >> (b > kBits - 1 ? kBits - 1 : b));
    return static_cast<T>(b > kBits - 1 ? T(0) : T(a >> b));
  });
}

void shift_right(Decoder& d, Instruction& in) {
  const Type type = d.type();
  take_operands(d, in, type, Type::u32);
  const bool sign = is_signed(type);
  in.run = bytes_of(type) == 8   ? (sign ? shifted_right<s64>() : shifted_right<u64>())
           : bytes_of(type) == 4 ? (sign ? shifted_right<s32>() : shifted_right<u32>())
           : sign                ? shifted_right<std::int16_t>()
                                 : shifted_right<std::uint16_t>();
}

/// Of b:a, the upper (l) or the lower (r) word after a shift by c.
void funnel_shift(Decoder& d, Instruction& in) {
  take_operands(d, in, Type::u32);
  const bool wraps = d.has("wrap");
  if (d.has("l")) {
    in.run = wraps ? ternary<u32, u32, u32, u32>([](u32 a, u32 b, u32 c) {
      return static_cast<u32>((u64{b} << 32 | a) << (c & 31) >> 32);
    })
                   : ternary<u32, u32, u32, u32>([](u32 a, u32 b, u32 c) {
                       return static_cast<u32>((u64{b} << 32 | a) << (c > 32 ? 32 : c) >> 32);
                     });
  } else {
    in.run = wraps ? ternary<u32, u32, u32, u32>(
                         [](u32 a, u32 b, u32 c) { return static_cast<u32>((u64{b} << 32 | a) >> (c & 31)); })
                   : ternary<u32, u32, u32, u32>([](u32 a, u32 b, u32 c) {
                       return static_cast<u32>((u64{b} << 32 | a) >> (c > 32 ? 32 : c));
                     });
  }
}

void count_bits(Decoder& d, Instruction& in) {
  const bool wide = bytes_of(d.type()) == 8;
  take_operands(d, in, d.type());
  const bool leading = d.statement().op[0] == "clz";
  if (leading) {
    in.run = wide ? unary<u32, u64>([](u64 a) { return static_cast<u32>(std::countl_zero(a)); })
                  : unary<u32, u32>([](u32 a) { return static_cast<u32>(std::countl_zero(a)); });
  } else {
    in.run = wide ? unary<u32, u64>([](u64 a) { return static_cast<u32>(std::popcount(a)); })
                  : unary<u32, u32>([](u32 a) { return static_cast<u32>(std::popcount(a)); });
  }
}

/// The place of the highest bit that differs from the sign, or how far it would have to be shifted.
template <class T, bool kShift>
u32 find_bit(T a) {
  std::make_unsigned_t<T> bits = static_cast<std::make_unsigned_t<T>>(a);
  if (std::is_signed_v<T> && a < 0) bits = ~bits;
  if (bits == 0) return kAll;
  const auto zeros = static_cast<u32>(std::countl_zero(bits));
  return kShift ? zeros : 8 * sizeof(T) - 1 - zeros;
}
template <class T>
Handler bit_finder(bool shift) {
  return shift ? unary<u32, T>([](T a) { return find_bit<T, true>(a); })
               : unary<u32, T>([](T a) { return find_bit<T, false>(a); });
}

void find_leading(Decoder& d, Instruction& in) {
  const Type type = d.type();
  take_operands(d, in, type);
  const bool shift = d.has("shiftamt");
  in.run = type == Type::u32   ? bit_finder<u32>(shift)
           : type == Type::s32 ? bit_finder<s32>(shift)
           : type == Type::u64 ? bit_finder<u64>(shift)
                               : bit_finder<s64>(shift);
}

u64 reversed(u64 a) {
  u64 result = 0;
  for (int i = 0; i < 64; ++i) result |= (a >> i & 1) << (63 - i);
  return result;
}

void reverse(Decoder& d, Instruction& in) {
  take_operands(d, in, d.type());
  in.run = bytes_of(d.type()) == 8
               ? unary<u64, u64>([](u64 a) { return reversed(a); })
               : unary<u32, u32>([](u32 a) { return static_cast<u32>(reversed(a) >> 32); });
}

/// Bits [begin, begin + length) of a; signed ones are extended by their top bit.
template <class T>
T bit_field(T a, u32 begin, u32 length) {
  constexpr u32 kBits = 8 * sizeof(T);
  using U = std::make_unsigned_t<T>;
  begin &= 0xff;
  length &= 0xff;
  const bool negative = std::is_signed_v<T> && length != 0 &&
                        (static_cast<U>(a) >> std::min(begin + length - 1, kBits - 1) & 1) != 0;
  const U field = begin >= kBits ? 0 : static_cast<U>(a) >> begin;
  const U kept = length >= kBits ? ~U{0} : (U{1} << length) - 1;
  // Bits beyond the top are the sign's.
  const U below_top = begin == 0 ? ~U{0} : begin >= kBits ? 0 : (U{1} << (kBits - begin)) - 1;
  const U known = kept & below_top;
  return static_cast<T>((field & known) | (negative ? ~known : 0));
}

void extract(Decoder& d, Instruction& in) {
  const Type type = d.type();
  take_operands(d, in, type);
  const auto build = []<class T>(T) {
    return ternary<T, T, u32, u32>([](T a, u32 b, u32 c) { return bit_field(a, b, c); });
  };
  in.run = type == Type::u32   ? build(u32{})
           : type == Type::s32 ? build(s32{})
           : type == Type::u64 ? build(u64{})
                               : build(s64{});
}

/// b with bits [begin, begin + length) replaced by the low ones of a.
template <class T>
T inserted(T a, T b, u32 begin, u32 length) {
  begin &= 0xff;
  length &= 0xff;
  if (begin >= 8 * sizeof(T) || length == 0) return b;
  const T mask = (length >= 8 * sizeof(T) ? ~T{0} : (T{1} << length) - 1) << begin;
  return (b & ~mask) | (a << begin & mask);
}

template <class T>
Status run_insert(Warp& w, const Instruction& in, u32 mask) {
  const T *a = w.lanes<T>(in.a), *b = w.lanes<T>(in.b);
  const u32 *begin = w.lanes<u32>(in.c), *length = w.lanes<u32>(in.d);
  T* const to = w.lanes<T>(in.dst);
  each_lane(mask, [=](int i) { to[i] = inserted(a[i], b[i], begin[i], length[i]); });
  return Status::next;
}

void insert(Decoder& d, Instruction& in) {
  const Type type = d.type();
  take_operands(d, in, type, type);
  in.d = d.source(d.operand(4), Type::u32);
  in.run = bytes_of(type) == 8 ? run_insert<u64> : run_insert<u32>;
}

/// Bytes of b:a chosen by the nibbles of `selector`; bit 3 of a nibble repeats the byte's sign.
u32 permuted(u32 a, u32 b, u32 selector) {
  const u64 all = u64{b} << 32 | a;
  u32 result = 0;
  for (int i = 0; i < 4; ++i) {
    const u32 nibble = selector >> (4 * i) & 15;
    u32 byte = static_cast<u32>(all >> (8 * (nibble & 7)) & 0xff);
    if ((nibble & 8) != 0) byte = (byte & 0x80) != 0 ? 0xff : 0;
    result |= byte << (8 * i);
  }
  return result;
}

void permute(Decoder& d, Instruction& in) {
  if (d.statement().op.size() != 2) d.unsupported();
  take_operands(d, in, Type::u32);
  in.run = ternary<u32, u32, u32, u32>([](u32 a, u32 b, u32 c) { return permuted(a, b, c); });
}

/// Any function of three bits: bit 4 * a + 2 * b + c of the table.
void look_up(Decoder& d, Instruction& in) {
  take_operands(d, in, Type::b32, Type::b32, Type::b32);
  in.aux[0] = static_cast<int>(d.literal(d.operand(4)));
  in.run = [](Warp& w, const Instruction& i, u32 mask) {
    const u32 *a = w.lanes<u32>(i.a), *b = w.lanes<u32>(i.b), *c = w.lanes<u32>(i.c);
    u32* const to = w.lanes<u32>(i.dst);
    each_lane(mask, [=, table = i.aux[0]](int lane) {
      u32 result = 0;
      for (int k = 0; k < 8; ++k) {
        if ((table >> k & 1) == 0) continue;
        result |= ((k & 4) != 0 ? a[lane] : ~a[lane]) & ((k & 2) != 0 ? b[lane] : ~b[lane]) &
                  ((k & 1) != 0 ? c[lane] : ~c[lane]);
      }
      to[lane] = result;
    });
    return Status::next;
  };
}

}  // namespace

void add_bits(Families& families) {
  families["and"] = [](Decoder& d, Instruction& in) {
    logic(d, in, [](auto a, auto b) { return static_cast<decltype(a)>(a & b); });
  };
  families["or"] = [](Decoder& d, Instruction& in) {
    logic(d, in, [](auto a, auto b) { return static_cast<decltype(a)>(a | b); });
  };
  families["xor"] = [](Decoder& d, Instruction& in) {
    logic(d, in, [](auto a, auto b) { return static_cast<decltype(a)>(a ^ b); });
  };
  families["not"] = [](Decoder& d, Instruction& in) {
    logic(d, in, [](auto a, auto) { return static_cast<decltype(a)>(~a); });
  };
  families["cnot"] = [](Decoder& d, Instruction& in) {
    logic(d, in, [](auto a, auto) { return static_cast<decltype(a)>(a == 0); });
  };
  families["shl"] = shift_left;
  families["shr"] = shift_right;
  families["shf"] = funnel_shift;
  families["popc"] = families["clz"] = count_bits;
  families["bfind"] = find_leading;
  families["brev"] = reverse;
  families["bfe"] = extract;
  families["bfi"] = insert;
  families["prmt"] = permute;
  families["lop3"] = look_up;
}

}  // namespace emulator
