// Arithmetic of f16, bf16 and pairs of them: computed in double precision and rounded once.
#include <cmath>

#include "emulator/arithmetic.h"
#include "emulator/half.h"

namespace emulator {
namespace {

using u16 = std::uint16_t;
using u32 = std::uint32_t;

struct F16 {
  static double open(u16 bits) { return from_f16(bits); }
  static u16 close(double x) { return to_f16(static_cast<float>(x)); }
};
struct Bf16 {
  static double open(u16 bits) { return from_bf16(bits); }
  static u16 close(double x) { return to_bf16(static_cast<float>(x)); }
};

template <class S, class F>
u16 apply(u16 a, u16 b, u16 c) {
  return S::close(F{}(S::open(a), S::open(b), S::open(c)));
}

template <class S, class F>
Status run_single(Warp& w, const Instruction& in, u32 mask) {
  const u32 *a = w.lanes<u32>(in.a), *b = w.lanes<u32>(in.b == kNone ? in.a : in.b),
            *c = w.lanes<u32>(in.c == kNone ? in.a : in.c);
  u32* const d = w.lanes<u32>(in.dst);
  each_lane(mask, [=](int i) {
    d[i] = apply<S, F>(static_cast<u16>(a[i]), static_cast<u16>(b[i]), static_cast<u16>(c[i]));
  });
  return Status::next;
}
template <class S, class F>
Status run_pair(Warp& w, const Instruction& in, u32 mask) {
  const u32 *a = w.lanes<u32>(in.a), *b = w.lanes<u32>(in.b == kNone ? in.a : in.b),
            *c = w.lanes<u32>(in.c == kNone ? in.a : in.c);
  u32* const d = w.lanes<u32>(in.dst);
  each_lane(mask, [=](int i) {
    const u32 low = apply<S, F>(static_cast<u16>(a[i]), static_cast<u16>(b[i]), static_cast<u16>(c[i]));
    const u32 high =
        apply<S, F>(static_cast<u16>(a[i] >> 16), static_cast<u16>(b[i] >> 16), static_cast<u16>(c[i] >> 16));
    d[i] = high << 16 | low;
  });
  return Status::next;
}

template <class F>
Handler of_type(Type type, F) {
  switch (type) {
    case Type::f16:
      return run_single<F16, F>;
    case Type::bf16:
      return run_single<Bf16, F>;
    case Type::f16x2:
      return run_pair<F16, F>;
    case Type::bf16x2:
      return run_pair<Bf16, F>;
    default:
      return nullptr;
  }
}

}  // namespace

Handler packed_arithmetic(const Statement& s, Type type) {
  const std::string& op = s.op[0];
  if (s.has("sat") || s.has("relu") || s.has("xorsign")) return nullptr;
  if (op == "add") return of_type(type, [](double a, double b, double) { return a + b; });
  if (op == "sub") return of_type(type, [](double a, double b, double) { return a - b; });
  if (op == "mul") return of_type(type, [](double a, double b, double) { return a * b; });
  if (op == "fma") return of_type(type, [](double a, double b, double c) { return std::fma(a, b, c); });
  if (op == "neg") return of_type(type, [](double a, double, double) { return -a; });
  if (op == "abs") return of_type(type, [](double a, double, double) { return std::abs(a); });
  if (op == "min" && s.has("NaN"))
    return of_type(type, [](double a, double b, double) { return a != a || b != b ? NAN : std::fmin(a, b); });
  if (op == "max" && s.has("NaN"))
    return of_type(type, [](double a, double b, double) { return a != a || b != b ? NAN : std::fmax(a, b); });
  if (op == "min") return of_type(type, [](double a, double b, double) { return std::fmin(a, b); });
  if (op == "max") return of_type(type, [](double a, double b, double) { return std::fmax(a, b); });
  if (op == "ex2") return of_type(type, [](double a, double, double) { return std::exp2(a); });
  if (op == "tanh") return of_type(type, [](double a, double, double) { return std::tanh(a); });
  return nullptr;
}

}  // namespace emulator
