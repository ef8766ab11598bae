// Integer arithmetic, and the operands of all arithmetic.
#include <algorithm>
#include <cstdlib>

#include "emulator/arithmetic.h"

namespace emulator {
namespace {

using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;
using s16 = std::int16_t;
using s32 = std::int32_t;
using s64 = std::int64_t;

template <class T>
using Wide =
    std::conditional_t<sizeof(T) == 8, std::conditional_t<std::is_signed_v<T>, __int128, unsigned __int128>,
                       std::conditional_t<sizeof(T) == 4, std::conditional_t<std::is_signed_v<T>, s64, u64>,
                                          std::conditional_t<std::is_signed_v<T>, s32, u32>>>;
template <class T>
using Bits = std::make_unsigned_t<T>;

// What a GPU gives for a division by zero, and for the one quotient that does not fit.
template <class T>
T divide(T a, T b) {
  if (b == 0) return static_cast<T>(-1);
  if constexpr (std::is_signed_v<T>) {
    if (b == -1) return static_cast<T>(-static_cast<Bits<T>>(a));
  }
  return static_cast<T>(a / b);
}
template <class T>
T remainder(T a, T b) {
  if (b == 0) return a;
  if constexpr (std::is_signed_v<T>) {
    if (b == -1) return 0;
  }
  return static_cast<T>(a % b);
}

s32 clamped(s64 x) {
  return static_cast<s32>(std::clamp<s64>(x, INT32_MIN, INT32_MAX));
}

template <class T>
Handler saturating(const Statement& s) {
  if constexpr (std::is_same_v<T, s32>) {
    if (s.op[0] == "add") return binary<T, T, T>([](T a, T b) { return clamped(s64{a} + b); });
    if (s.op[0] == "sub") return binary<T, T, T>([](T a, T b) { return clamped(s64{a} - b); });
  }
  return nullptr;
}

template <class T>
T upper_half(T a, T b) {
  return static_cast<T>((Wide<T>(a) * Wide<T>(b)) >> (8 * sizeof(T)));
}

template <class T>
Handler products(const Statement& s) {
  const bool adds = s.op[0] == "mad";
  if (s.has("lo")) {
    if (!adds) return binary<T, T, T>([](T a, T b) { return static_cast<T>(Wide<T>(a) * Wide<T>(b)); });
    return ternary<T, T, T, T>([](T a, T b, T c) {
      return static_cast<T>(static_cast<Bits<T>>(Wide<T>(a) * Wide<T>(b)) + static_cast<Bits<T>>(c));
    });
  }
  if (s.has("hi")) {
    if (!adds) return binary<T, T, T>([](T a, T b) { return upper_half(a, b); });
    return ternary<T, T, T, T>([](T a, T b, T c) {
      return static_cast<T>(static_cast<Bits<T>>(upper_half(a, b)) + static_cast<Bits<T>>(c));
    });
  }
  if constexpr (sizeof(T) < 8) {
    using W = Wide<T>;
    if (s.has("wide")) {
      if (!adds) return binary<W, T, T>([](T a, T b) { return static_cast<W>(W(a) * W(b)); });
      return ternary<W, T, T, W>([](T a, T b, W c) {
        return static_cast<W>(static_cast<Bits<W>>(W(a) * W(b)) + static_cast<Bits<W>>(c));
      });
    }
  }
  return nullptr;
}

template <class T>
Handler handler_for(const Statement& s) {
  using B = Bits<T>;
  const std::string& op = s.op[0];
  if (s.has("cc")) return nullptr;
  if (s.has("sat")) return saturating<T>(s);
  if (op == "add") return binary<T, T, T>([](T a, T b) { return static_cast<T>(B(a) + B(b)); });
  if (op == "sub") return binary<T, T, T>([](T a, T b) { return static_cast<T>(B(a) - B(b)); });
  if (op == "mul" || op == "mad") return products<T>(s);
  if (op == "div") return binary<T, T, T>([](T a, T b) { return divide(a, b); });
  if (op == "rem") return binary<T, T, T>([](T a, T b) { return remainder(a, b); });
  if (op == "min") return binary<T, T, T>([](T a, T b) { return a < b ? a : b; });
  if (op == "max") return binary<T, T, T>([](T a, T b) { return a > b ? a : b; });
  if (op == "neg") return unary<T, T>([](T a) { return static_cast<T>(B(0) - B(a)); });
  if (op == "abs") return unary<T, T>([](T a) { return static_cast<T>(a < 0 ? B(0) - B(a) : B(a)); });
  if (op == "sad")
    return ternary<T, T, T, T>(
        [](T a, T b, T c) { return static_cast<T>(B(c) + (a < b ? B(b) - B(a) : B(a) - B(b))); });
  return nullptr;
}

Type widened(Type type) {
  switch (type) {
    case Type::u16:
      return Type::u32;
    case Type::s16:
      return Type::s32;
    case Type::u32:
      return Type::u64;
    case Type::s32:
      return Type::s64;
    default:
      return type;
  }
}

void arithmetic(Decoder& d, Instruction& in) {
  const Statement& s = d.statement();
  const Type type = d.type();
  in.run = integer_arithmetic(s, type);
  if (in.run == nullptr) in.run = float_arithmetic(s, type);
  if (in.run == nullptr) in.run = packed_arithmetic(s, type);
  if (in.run == nullptr || d.operands() > 4) d.unsupported();
  in.dst = d.target(d.operand(0));
  in.a = d.source(d.operand(1), type);
  if (d.operands() > 2) in.b = d.source(d.operand(2), type);
  if (d.operands() > 3) in.c = d.source(d.operand(3), d.has("wide") ? widened(type) : type);
}

int byte_of(u32 word, int i, bool is_signed) {
  const u32 byte = word >> (8 * i) & 0xff;
  return is_signed ? static_cast<signed char>(byte) : static_cast<int>(byte);
}

/// d = c + sum of the products of four bytes of a and b
void dot_product(Decoder& d, Instruction& in) {
  const auto& op = d.statement().op;
  if (op.size() != 3) d.unsupported();
  in.dst = d.target(d.operand(0));
  in.a = d.source(d.operand(1), Type::u32);
  in.b = d.source(d.operand(2), Type::u32);
  in.c = d.source(d.operand(3), Type::u32);
  in.aux[0] = op[1] == "s32";
  in.aux[1] = op[2] == "s32";
  in.run = [](Warp& w, const Instruction& i, u32 mask) {
    each_lane(mask, [&](int lane) {
      u32 sum = w.lanes<u32>(i.c)[lane];
      for (int k = 0; k < 4; ++k) {
        sum += static_cast<u32>(byte_of(w.lanes<u32>(i.a)[lane], k, i.aux[0] != 0) *
                                byte_of(w.lanes<u32>(i.b)[lane], k, i.aux[1] != 0));
      }
      w.lanes<u32>(i.dst)[lane] = sum;
    });
    return Status::next;
  };
}

}  // namespace

Handler integer_arithmetic(const Statement& statement, Type type) {
  switch (type) {
    case Type::u16:
      return handler_for<u16>(statement);
    case Type::s16:
      return handler_for<s16>(statement);
    case Type::u32:
    case Type::b32:
      return handler_for<u32>(statement);
    case Type::s32:
      return handler_for<s32>(statement);
    case Type::u64:
    case Type::b64:
      return handler_for<u64>(statement);
    case Type::s64:
      return handler_for<s64>(statement);
    default:
      return nullptr;
  }
}

void add_integer(Families& families) {
  for (const char* name :
       {"add", "sub", "mul",  "mad",   "div", "rem", "min", "max", "neg",  "abs",     "sad",
        "fma", "rcp", "sqrt", "rsqrt", "ex2", "lg2", "sin", "cos", "tanh", "copysign"}) {
    families[name] = arithmetic;
  }
  families["dp4a"] = dot_product;
}

}  // namespace emulator
