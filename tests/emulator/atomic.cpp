// atom and red: also of vectors of f32 and of pairs of f16 and bf16.
#include "emulator/atomic.h"

#include <algorithm>
#include <bit>

#include "emulator/access.h"
#include "emulator/half.h"
#include "emulator/memory.h"

namespace emulator {
namespace {

using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;
using s32 = std::int32_t;
using s64 = std::int64_t;

template <class T>
using BitsOf = std::conditional_t<sizeof(T) == 8, u64, std::conditional_t<sizeof(T) == 4, u32, u16>>;

/// One element per lane, or a vector of them element by element; the result where there is a list of targets.
template <class T, class F>
Handler updating(F) {
  return +[](Warp& w, const Instruction& in, u32 mask) {
    using B = BitsOf<T>;
    std::byte* at[32];
    resolve(w, in, mask, sizeof(T) * in.width, at);
    const u32* const operands = w.list(in);
    const u32* const targets = in.aux[0] != 0 ? operands + in.width : nullptr;
    for (u32 rest = mask; rest != 0; rest &= rest - 1) {
      const int lane = __builtin_ctz(rest);
      for (int k = 0; k < in.width; ++k) {
        const auto cell = w.lanes<Cell<B>>(operands[k])[lane];
        const T operand = std::bit_cast<T>(static_cast<B>(cell));
        const B old = update<B>(at[lane] + k * static_cast<int>(sizeof(T)), [&](B now) {
          return std::bit_cast<B>(static_cast<T>(F{}(std::bit_cast<T>(now), operand)));
        });
        if (targets != nullptr) w.lanes<Cell<B>>(targets[k])[lane] = old;
      }
    }
    return Status::next;
  };
}

template <class B>
Status compare_and_swap(Warp& w, const Instruction& in, u32 mask) {
  std::byte* at[32];
  resolve(w, in, mask, sizeof(B), at);
  const u32* const list = w.list(in);
  for (u32 rest = mask; rest != 0; rest &= rest - 1) {
    const int lane = __builtin_ctz(rest);
    const B wanted = static_cast<B>(w.lanes<Cell<B>>(list[0])[lane]),
            fresh = static_cast<B>(w.lanes<Cell<B>>(list[1])[lane]);
    const B old = update<B>(at[lane], [&](B now) { return now == wanted ? fresh : now; });
    if (in.aux[0] != 0) w.lanes<Cell<B>>(list[2])[lane] = old;
  }
  return Status::next;
}

template <class T>
Handler arithmetic(const Decoder& d) {
  if (d.has("add")) return updating<T>([](T a, T b) { return static_cast<T>(a + b); });
  if (d.has("min")) return updating<T>([](T a, T b) { return std::min(a, b); });
  if (d.has("max")) return updating<T>([](T a, T b) { return std::max(a, b); });
  if (d.has("exch")) return updating<T>([](T, T b) { return b; });
  if constexpr (std::is_integral_v<T>) {
    if (d.has("and")) return updating<T>([](T a, T b) { return static_cast<T>(a & b); });
    if (d.has("or")) return updating<T>([](T a, T b) { return static_cast<T>(a | b); });
    if (d.has("xor")) return updating<T>([](T a, T b) { return static_cast<T>(a ^ b); });
    if (d.has("inc")) return updating<T>([](T a, T b) { return a >= b ? T(0) : static_cast<T>(a + 1); });
    if (d.has("dec"))
      return updating<T>([](T a, T b) { return a == 0 || a > b ? b : static_cast<T>(a - 1); });
  }
  return nullptr;
}

float open(u16 bits, bool is_bf16) {
  return is_bf16 ? from_bf16(bits) : from_f16(bits);
}
u16 close(float x, bool is_bf16) {
  return is_bf16 ? to_bf16(x) : to_f16(x);
}
template <bool kBf16>
u32 combined(u32 a, u32 b, int op) {
  u32 result = 0;
  for (int i = 0; i < 32; i += 16) {
    const float x = open(static_cast<u16>(a >> i), kBf16), y = open(static_cast<u16>(b >> i), kBf16);
    const float z = op == 0 ? x + y : op == 1 ? std::min(x, y) : std::max(x, y);
    result |= u32{close(z, kBf16)} << i;
  }
  return result;
}
template <bool kBf16>
Handler pairs(const Decoder& d) {
  if (d.has("add")) return updating<u32>([](u32 a, u32 b) { return combined<kBf16>(a, b, 0); });
  if (d.has("min")) return updating<u32>([](u32 a, u32 b) { return combined<kBf16>(a, b, 1); });
  if (d.has("max")) return updating<u32>([](u32 a, u32 b) { return combined<kBf16>(a, b, 2); });
  return nullptr;
}
template <bool kBf16>
Handler singles(const Decoder& d) {
  if (!d.has("add")) return nullptr;
  return updating<u16>([](u16 a, u16 b) { return close(open(a, kBf16) + open(b, kBf16), kBf16); });
}

Handler handler_for(const Decoder& d, Type type) {
  switch (type) {
    case Type::u32:
    case Type::b32:
      return arithmetic<u32>(d);
    case Type::s32:
      return arithmetic<s32>(d);
    case Type::u64:
    case Type::b64:
      return arithmetic<u64>(d);
    case Type::s64:
      return arithmetic<s64>(d);
    case Type::f32:
      return arithmetic<float>(d);
    case Type::f64:
      return arithmetic<double>(d);
    case Type::f16x2:
      return pairs<false>(d);
    case Type::bf16x2:
      return pairs<true>(d);
    case Type::f16:
      return singles<false>(d);
    case Type::bf16:
      return singles<true>(d);
    default:
      return nullptr;
  }
}

void update_memory(Decoder& d, Instruction& in) {
  if (d.has("async")) d.unsupported();
  const bool returns = d.statement().op[0] == "atom";
  const std::size_t first = returns ? 1 : 0;
  const Type type = d.type();
  in.space = space_of(d);
  in.width = d.has("v2") ? 2 : d.has("v4") ? 4 : d.has("v8") ? 8 : 1;
  in.memory = d.new_memory_index();
  in.aux[0] = returns;
  d.address(d.operand(first), in);
  d.append_sources(in, d.operand(first + 1), type);
  if (d.has("cas")) {
    d.append_sources(in, d.operand(first + 2), type);
    in.run = bytes_of(type) == 8   ? compare_and_swap<u64>
             : bytes_of(type) == 4 ? compare_and_swap<u32>
                                   : compare_and_swap<u16>;
  } else {
    in.run = handler_for(d, type);
  }
  if (returns) d.append_targets(in, d.operand(0));
}

template <class B, class F>
void add_as(std::byte* at, const std::byte* value, const F& sum) {
  B operand;
  std::memcpy(&operand, value, sizeof operand);
  update<B>(at, [&](B now) { return static_cast<B>(sum(now, operand)); });
}

}  // namespace

void add_element(std::byte* at, const std::byte* value, Type type) {
  switch (type) {
    case Type::f32:
      return add_as<u32>(at, value, [](u32 a, u32 b) {
        return std::bit_cast<u32>(std::bit_cast<float>(a) + std::bit_cast<float>(b));
      });
    case Type::f16:
      return add_as<u16>(at, value,
                         [](u16 a, u16 b) { return close(open(a, false) + open(b, false), false); });
    case Type::bf16:
      return add_as<u16>(at, value, [](u16 a, u16 b) { return close(open(a, true) + open(b, true), true); });
    case Type::u64:
      return add_as<u64>(at, value, [](u64 a, u64 b) { return a + b; });
    default:
      return add_as<u32>(at, value, [](u32 a, u32 b) { return a + b; });
  }
}

void add_atomic(Families& families) {
  families["atom"] = families["red"] = update_memory;
}

}  // namespace emulator
