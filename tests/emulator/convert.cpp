// cvt between integers, between floating-point types, and across.
#include <bit>
#include <cmath>
#include <limits>

#include "emulator/decoder.h"
#include "emulator/half.h"
#include "emulator/warp.h"

namespace emulator {
namespace {

using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;
using s64 = std::int64_t;

bool is_integer(Type type) {
  switch (type) {
    case Type::u8:
    case Type::s8:
    case Type::u16:
    case Type::s16:
    case Type::u32:
    case Type::s32:
    case Type::u64:
    case Type::s64:
      return true;
    default:
      return false;
  }
}

/// The value of a register's bits as a type of `bits` bits; wide enough for all.
__int128 read_integer(u64 raw, int bits, bool is_signed) {
  const u64 kept = bits == 64 ? raw : raw & ((u64{1} << bits) - 1);
  if (is_signed && (kept >> (bits - 1) & 1) != 0) return static_cast<__int128>(kept) - (__int128{1} << bits);
  return static_cast<__int128>(kept);
}
__int128 clamped(__int128 x, int bits, bool is_signed) {
  const __int128 low = is_signed ? -(__int128{1} << (bits - 1)) : 0;
  const __int128 high = (__int128{1} << (is_signed ? bits - 1 : bits)) - 1;
  return x < low ? low : x > high ? high : x;
}

u64 read_register(Warp& w, u32 slot, int lane, bool wide) {
  return wide ? w.lanes<u64>(slot)[lane] : w.lanes<u32>(slot)[lane];
}
void write_register(Warp& w, u32 slot, int lane, int bytes, u64 value) {
  if (bytes == 8) {
    w.lanes<u64>(slot)[lane] = value;
  } else {
    w.lanes<u32>(slot)[lane] = static_cast<u32>(bytes == 2 ? value & 0xffff : value);
  }
}

double open_float(Type type, u64 raw) {
  switch (type) {
    case Type::f16:
      return from_f16(static_cast<u16>(raw));
    case Type::bf16:
      return from_bf16(static_cast<u16>(raw));
    case Type::f64:
      return std::bit_cast<double>(raw);
    default:
      return std::bit_cast<float>(static_cast<u32>(raw));
  }
}
enum Rounding { nearest, zero, down, up };

double rounded_to_integer(double x, int rounding) {
  switch (rounding) {
    case zero:
      return std::trunc(x);
    case down:
      return std::floor(x);
    case up:
      return std::ceil(x);
    default:
      return std::nearbyint(x);
  }
}

/// x as a float: to nearest, or towards where the mode says.
float to_float(double x, int rounding) {
  const auto nearest_float = static_cast<float>(x);
  const auto next = [&](float towards) { return std::nextafter(nearest_float, towards); };
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  if (rounding == nearest || !(nearest_float < x || nearest_float > x)) return nearest_float;
  if (rounding == up || (rounding == zero && x < 0))
    return nearest_float < x ? next(kInfinity) : nearest_float;
  return nearest_float > x ? next(-kInfinity) : nearest_float;
}

u64 close_float(Type type, double x, int rounding) {
  switch (type) {
    case Type::f16:
      return to_f16(static_cast<float>(x));
    case Type::bf16: {
      if (rounding == zero) return std::bit_cast<u32>(to_float(x, zero)) >> 16;
      return to_bf16(static_cast<float>(x));
    }
    case Type::f64:
      return std::bit_cast<u64>(x);
    case Type::tf32:
      return std::bit_cast<u32>(to_tf32(static_cast<float>(x)));
    default:
      return std::bit_cast<u32>(to_float(x, rounding));
  }
}

// aux: source and destination type, bits of mode, bytes of both registers.
constexpr int kSaturate = 4, kToIntegral = 8, kRelu = 16, kFlush = 32;

u64 converted(Type to, Type from, u64 raw, int mode) {
  const int to_bits = 8 * bytes_of(to), rounding = mode & 3;
  if (is_integer(from)) {
    const __int128 x = read_integer(raw, 8 * bytes_of(from), is_signed(from));
    if (is_integer(to))
      return static_cast<u64>((mode & kSaturate) != 0 ? clamped(x, to_bits, is_signed(to)) : x);
    // Through a double only where it is exact.
    if (to == Type::f32 && rounding == nearest) return std::bit_cast<u32>(static_cast<float>(x));
    return close_float(to, static_cast<double>(x), rounding);
  }
  double x = open_float(from, raw);
  if ((mode & kFlush) != 0 && std::abs(x) < 0x1p-126) x = std::copysign(0.0, x);
  if (is_integer(to)) {
    if (x != x) return to_bits == 64 ? u64{1} << 63 : 0;
    const double whole = rounded_to_integer(x, rounding);
    if (std::abs(whole) < 0x1p100)
      return static_cast<u64>(clamped(static_cast<__int128>(whole), to_bits, is_signed(to)));
    return static_cast<u64>(
        clamped(whole < 0 ? -(__int128{1} << 100) : __int128{1} << 100, to_bits, is_signed(to)));
  }
  if ((mode & kToIntegral) != 0) x = rounded_to_integer(x, rounding);
  if ((mode & kSaturate) != 0) x = x > 0 ? std::min(x, 1.0) : 0;
  if ((mode & kRelu) != 0) x = x < 0 ? 0 : x;
  return close_float(to, x, (mode & kToIntegral) != 0 ? nearest : rounding);
}

Status run_any(Warp& w, const Instruction& in, u32 mask) {
  const auto to = static_cast<Type>(in.aux[0] & 0xff), from = static_cast<Type>(in.aux[0] >> 8);
  for (u32 rest = mask; rest != 0; rest &= rest - 1) {
    const int lane = __builtin_ctz(rest);
    const u64 value = converted(to, from, read_register(w, in.a, lane, in.aux[3] == 8), in.aux[1]);
    write_register(w, in.dst, lane, in.aux[2], value);
  }
  return Status::next;
}

/// The conversions that kernels are full of; nullptr for the others.
Handler fast_conversion(Type to, Type from, int to_bytes, int from_bytes, int mode) {
  if ((mode & ~kFlush) != nearest) {
    if (mode == zero && to == Type::s32 && from == Type::f32) {
      return unary<std::int32_t, float>([](float a) {
        return a != a                ? 0
               : a >= 2147483648.0f  ? INT32_MAX
               : a <= -2147483648.0f ? INT32_MIN
                                     : static_cast<std::int32_t>(a);
      });
    }
    return nullptr;
  }
  if (mode == 0 && is_integer(to) && is_integer(from) && bytes_of(to) == to_bytes &&
      bytes_of(from) == from_bytes) {
    const bool sign = is_signed(from);
    if (to_bytes == 8 && from_bytes == 4)
      return sign ? unary<s64, std::int32_t>([](std::int32_t a) { return s64{a}; })
                  : unary<u64, u32>([](u32 a) { return u64{a}; });
    if (to_bytes == 4 && from_bytes == 8) return unary<u32, u64>([](u64 a) { return static_cast<u32>(a); });
    if (to_bytes == 2 && from_bytes == 4) return unary<u16, u32>([](u32 a) { return static_cast<u16>(a); });
    if (to_bytes == 4 && from_bytes == 2)
      return sign ? unary<std::int32_t, std::int16_t>([](std::int16_t a) { return std::int32_t{a}; })
                  : unary<u32, u16>([](u16 a) { return u32{a}; });
  }
  if (mode != 0) return nullptr;
  if (from == Type::f16 && to == Type::f32) return unary<float, u16>([](u16 a) { return from_f16(a); });
  if (from == Type::bf16 && to == Type::f32) return unary<float, u16>([](u16 a) { return from_bf16(a); });
  if (from == Type::f32 && to == Type::f16) return unary<u16, float>([](float a) { return to_f16(a); });
  if (from == Type::f32 && to == Type::bf16) return unary<u16, float>([](float a) { return to_bf16(a); });
  if (from == Type::s32 && to == Type::f32)
    return unary<float, std::int32_t>([](std::int32_t a) { return static_cast<float>(a); });
  return nullptr;
}

float half_of(u32 a, int i) {
  return from_f16(static_cast<u16>(a >> (16 * i)));
}

/// Two values into one register: the first operand becomes the upper half.
void convert_pair(Decoder& d, Instruction& in) {
  const Type to = d.type(1), from = d.type();
  in.dst = d.target(d.operand(0));
  if (from == Type::e4m3x2 || from == Type::e5m2x2) {
    if (to != Type::f16x2 || d.has("relu")) d.unsupported();
    in.a = d.source(d.operand(1), Type::b16);
    in.run = from == Type::e4m3x2
                 ? unary<u32, u16>([](u16 a) {
                     return u32{to_f16(from_e4m3(static_cast<std::uint8_t>(a >> 8)))} << 16 |
                            to_f16(from_e4m3(static_cast<std::uint8_t>(a)));
                   })
                 : unary<u32, u16>([](u16 a) { return u32{a & 0xff00u} << 16 | (a & 0xffu) << 8; });
    return;
  }
  if (d.has("relu") || d.has("rz")) d.unsupported();
  if (from == Type::f16x2) {
    in.a = d.source(d.operand(1), Type::b32);
    in.run = to == Type::e4m3x2   ? unary<u16, u32>([](u32 a) {
      return static_cast<u16>(to_e4m3(half_of(a, 1)) << 8 | to_e4m3(half_of(a, 0)));
    })
             : to == Type::e5m2x2 ? unary<u16, u32>([](u32 a) {
                 return static_cast<u16>(to_e5m2(half_of(a, 1)) << 8 | to_e5m2(half_of(a, 0)));
               })
                                  : nullptr;
    return;
  }
  in.a = d.source(d.operand(1), Type::f32);
  in.b = d.source(d.operand(2), Type::f32);
  if (from != Type::f32) d.unsupported();
  switch (to) {
    case Type::f16x2:
      in.run = binary<u32, float, float>([](float a, float b) { return u32{to_f16(a)} << 16 | to_f16(b); });
      break;
    case Type::bf16x2:
      in.run = binary<u32, float, float>([](float a, float b) { return u32{to_bf16(a)} << 16 | to_bf16(b); });
      break;
    case Type::e4m3x2:
      in.run = binary<u16, float, float>(
          [](float a, float b) { return static_cast<u16>(to_e4m3(a) << 8 | to_e4m3(b)); });
      break;
    case Type::e5m2x2:
      in.run = binary<u16, float, float>(
          [](float a, float b) { return static_cast<u16>(to_e5m2(a) << 8 | to_e5m2(b)); });
      break;
    default:
      break;
  }
}

bool is_pair(Type type) {
  return type == Type::f16x2 || type == Type::bf16x2 || type == Type::e4m3x2 || type == Type::e5m2x2;
}

void convert(Decoder& d, Instruction& in) {
  const Type to = d.type(1), from = d.type();
  if (is_pair(to) || is_pair(from)) return convert_pair(d, in);
  int mode = nearest;
  if (d.has("rz") || d.has("rzi")) mode = zero;
  if (d.has("rm") || d.has("rmi")) mode = down;
  if (d.has("rp") || d.has("rpi")) mode = up;
  for (const char* integral : {"rni", "rzi", "rmi", "rpi"}) {
    if (d.has(integral) && !is_integer(to) && !is_integer(from)) mode |= kToIntegral;
  }
  if (d.has("sat")) mode |= kSaturate;
  if (d.has("relu")) mode |= kRelu;
  if (d.has("ftz")) mode |= kFlush;
  in.dst = d.target(d.operand(0));
  in.a = d.source(d.operand(1), from);
  const int to_bytes = bytes_of(d.type_of(d.operand(0)));
  const Type register_type = d.type_of(d.operand(1));
  const int from_bytes = register_type == Type::none ? std::max(bytes_of(from), 2) : bytes_of(register_type);
  in.run = fast_conversion(to, from, to_bytes, from_bytes, mode);
  if (in.run != nullptr) return;
  in.run = run_any;
  in.aux[0] = static_cast<int>(to) | static_cast<int>(from) << 8;
  in.aux[1] = mode;
  in.aux[2] = to_bytes;
  in.aux[3] = from_bytes;
}

}  // namespace

void add_convert(Families& families) {
  families["cvt"] = convert;
}

}  // namespace emulator
