// f32 and f64 arithmetic. Approximate functions are computed more exactly than a GPU does.
#include <bit>
#include <cmath>
#include <limits>

#include "emulator/arithmetic.h"

namespace emulator {
namespace {

template <bool kFlush>
float flushed(float x) {
  if constexpr (kFlush) {
    const auto bits = std::bit_cast<std::uint32_t>(x);
    return (bits & 0x7f800000) == 0 ? std::bit_cast<float>(bits & 0x80000000) : x;
  }
  return x;
}
template <bool kFlush>
double flushed(double x) {
  return x;
}

/// 2^x to within an ulp or two, without branches so that it is vectorised; 0 below 2^-126.
inline float exp2_flushed(float x) {
  const float clamped = x < -127.0f ? -127.0f : x > 129.0f ? 129.0f : x;
  const float shifted = clamped + 12582912.0f;  // 1.5 * 2^23: rounds to an integer
  const float f = clamped - (shifted - 12582912.0f);
  float y = 1.5403530e-4f;  // Taylor's series of 2^f, |f| <= 1/2
  y = y * f + 1.3333558e-3f;
  y = y * f + 9.6181291e-3f;
  y = y * f + 5.5504109e-2f;
  y = y * f + 2.4022651e-1f;
  y = y * f + 6.9314718e-1f;
  y = y * f + 1.0f;
  const float power =
      std::bit_cast<float>(std::bit_cast<std::uint32_t>(y) + (std::bit_cast<std::uint32_t>(shifted) << 23));
  const float bounded = x < -126.0f ? 0.0f : x >= 128.0f ? std::numeric_limits<float>::infinity() : power;
  return x != x ? x : bounded;
}

// One NaN gives the other operand.
template <class T>
T smaller(T a, T b) {
  const T least = a < b ? a : b;
  return b != b ? a : least;
}
template <class T>
T larger(T a, T b) {
  const T most = a > b ? a : b;
  return b != b ? a : most;
}

template <class T>
T saturated(T x) {
  return x > T(0) ? (x < T(1) ? x : T(1)) : T(0);  // NaN gives 0
}

template <class T, bool kFlush, bool kSaturate, class F>
Handler one(F) {
  return unary<T, T>([](T a) {
    const T y = flushed<kFlush>(F{}(flushed<kFlush>(a)));
    return kSaturate ? saturated(y) : y;
  });
}
template <class T, bool kFlush, bool kSaturate, class F>
Handler two(F) {
  return binary<T, T, T>([](T a, T b) {
    const T y = flushed<kFlush>(F{}(flushed<kFlush>(a), flushed<kFlush>(b)));
    return kSaturate ? saturated(y) : y;
  });
}
template <class T, bool kFlush, bool kSaturate, class F>
Handler three(F) {
  return ternary<T, T, T, T>([](T a, T b, T c) {
    const T y = flushed<kFlush>(F{}(flushed<kFlush>(a), flushed<kFlush>(b), flushed<kFlush>(c)));
    return kSaturate ? saturated(y) : y;
  });
}

template <class T, bool kFlush, bool kSaturate>
Handler handler_for(const Statement& s) {
  const std::string& op = s.op[0];
  for (const char* mode : {"rz", "rm", "rp", "xorsign"}) {
    if (s.has(mode)) return nullptr;
  }
  constexpr bool F = kFlush, S = kSaturate;
  if (op == "add") return two<T, F, S>([](T a, T b) { return a + b; });
  if (op == "sub") return two<T, F, S>([](T a, T b) { return a - b; });
  if (op == "mul") return two<T, F, S>([](T a, T b) { return a * b; });
  if (op == "fma" || op == "mad") return three<T, F, S>([](T a, T b, T c) { return std::fma(a, b, c); });
  if (op == "div") return two<T, F, S>([](T a, T b) { return a / b; });
  if (op == "abs") return one<T, F, S>([](T a) { return std::abs(a); });
  if (op == "neg") return one<T, F, S>([](T a) { return -a; });
  if (op == "min" && !s.has("NaN")) return two<T, F, S>([](T a, T b) { return smaller(a, b); });
  if (op == "max" && !s.has("NaN")) return two<T, F, S>([](T a, T b) { return larger(a, b); });
  if (op == "min") return two<T, F, S>([](T a, T b) { return a != a ? a : b != b ? b : a < b ? a : b; });
  if (op == "max") return two<T, F, S>([](T a, T b) { return a != a ? a : b != b ? b : a > b ? a : b; });
  if (op == "rcp") return one<T, F, S>([](T a) { return T(1) / a; });
  if (op == "sqrt") return one<T, F, S>([](T a) { return std::sqrt(a); });
  if (op == "rsqrt") return one<T, F, S>([](T a) { return T(1) / std::sqrt(a); });
  if (op == "copysign") return two<T, F, S>([](T a, T b) { return std::copysign(b, a); });
  if constexpr (std::is_same_v<T, float>) {
    if (op == "ex2")
      return kFlush ? unary<T, T>([](T a) { return exp2_flushed(a); })
                    : one<T, F, S>([](T a) { return std::exp2(a); });
    if (op == "lg2") return one<T, F, S>([](T a) { return std::log2(a); });
    if (op == "sin") return one<T, F, S>([](T a) { return std::sin(a); });
    if (op == "cos") return one<T, F, S>([](T a) { return std::cos(a); });
    if (op == "tanh") return one<T, F, S>([](T a) { return std::tanh(a); });
  }
  return nullptr;
}

}  // namespace

Handler float_arithmetic(const Statement& statement, Type type) {
  const bool flush = statement.has("ftz"), saturate = statement.has("sat");
  if (type == Type::f64) return handler_for<double, false, false>(statement);
  if (type != Type::f32) return nullptr;
  if (flush) {
    return saturate ? handler_for<float, true, true>(statement) : handler_for<float, true, false>(statement);
  }
  return saturate ? handler_for<float, false, true>(statement) : handler_for<float, false, false>(statement);
}

}  // namespace emulator
