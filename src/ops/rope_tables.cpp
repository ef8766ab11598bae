// rope_tables: cosines and sines of positions, with every usual way to make a context longer.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "ops/check.h"
#include "sprue/ops/rope.h"

namespace sprue {
namespace {

constexpr char kOp[] = "rope_tables";
using Kind = RopeScaling::Kind;

void check(std::int64_t positions, std::int64_t rotary_dim, double base, const RopeScaling& scaling) {
  SPRUE_CHECK(kOp, positions >= 0, "positions must not be negative, but is {}", positions);
  SPRUE_CHECK(kOp, rotary_dim >= 2 && rotary_dim % 2 == 0,
              "rotary_dim must be even and at least 2, but is {}", rotary_dim);
  SPRUE_CHECK(kOp, std::isfinite(base) && base > 0, "base must be finite and positive, but is {}", base);
  const bool scales = scaling.kind != Kind::none && scaling.kind != Kind::xpos;
  SPRUE_CHECK(kOp, !scales || (std::isfinite(scaling.factor) && scaling.factor >= 1),
              "scaling.factor must be finite and at least 1, but is {}", scaling.factor);
  SPRUE_CHECK(kOp, scaling.kind != Kind::ntk || rotary_dim > 2,
              "rotary_dim must be at least 4 for ntk, but is {}", rotary_dim);
  const bool has_context = scaling.kind == Kind::yarn || scaling.kind == Kind::llama3;
  SPRUE_CHECK(kOp, !has_context || scaling.original_positions >= 1,
              "scaling.original_positions must be at least 1, but is {}", scaling.original_positions);
  SPRUE_CHECK(kOp, scaling.kind != Kind::yarn || (scaling.slow > 0 && scaling.fast > scaling.slow),
              "scaling.fast must be above scaling.slow, and that above 0, but they are {} and {}",
              scaling.fast, scaling.slow);
  SPRUE_CHECK(
      kOp,
      scaling.kind != Kind::llama3 ||
          (scaling.low_frequency > 0 && scaling.high_frequency > scaling.low_frequency),
      "scaling.high_frequency must be above scaling.low_frequency, and that above 0, but they are {} and {}",
      scaling.high_frequency, scaling.low_frequency);
  SPRUE_CHECK(kOp, scaling.kind != Kind::xpos || scaling.scale_base > 0,
              "scaling.scale_base must be positive, but is {}", scaling.scale_base);
}

/// Between the channel that turns `fast` times over the original context and the one that turns `slow` times,
/// yarn goes from the frequencies as they are to those divided by the factor.
double yarn_share(double n, double rotary_dim, double base, const RopeScaling& scaling) {
  const auto channel = [&](double rotations) {
    return rotary_dim * std::log(scaling.original_positions / (rotations * 2 * std::numbers::pi)) /
           (2 * std::log(base));
  };
  const double low = std::max(std::floor(channel(scaling.fast)), 0.0);
  const double high = std::min(std::ceil(channel(scaling.slow)), rotary_dim - 1);
  return std::clamp((n - low) / std::max(high - low, 0.001), 0.0, 1.0);
}

/// Radians per position of channel pair n.
double frequency(std::int64_t n, std::int64_t rotary_dim, double base, const RopeScaling& scaling) {
  const auto dim = static_cast<double>(rotary_dim), index = static_cast<double>(n);
  if (scaling.kind == Kind::ntk) base *= std::pow(scaling.factor, dim / (dim - 2));
  const double plain = std::pow(base, -2 * index / dim), stretched = plain / scaling.factor;
  switch (scaling.kind) {
    case Kind::linear:
      return stretched;
    case Kind::yarn:
      return std::lerp(plain, stretched, yarn_share(index, dim, base, scaling));
    case Kind::llama3: {
      const double rotations = scaling.original_positions * plain / (2 * std::numbers::pi);
      const double share =
          (rotations - scaling.low_frequency) / (scaling.high_frequency - scaling.low_frequency);
      return std::lerp(stretched, plain, std::clamp(share, 0.0, 1.0));
    }
    default:
      return plain;
  }
}

}  // namespace

RopeTables rope_tables(std::int64_t positions, std::int64_t rotary_dim, double base,
                       const RopeScaling& scaling) {
  check(positions, rotary_dim, base, scaling);
  const std::int64_t half = rotary_dim / 2;
  const auto elements = static_cast<std::size_t>(positions * half);
  const bool xpos = scaling.kind == Kind::xpos;
  const double magnitude = scaling.kind == Kind::yarn ? 0.1 * std::log(scaling.factor) + 1 : 1;
  RopeTables tables;
  for (auto* table : {&tables.cos, &tables.sin}) table->resize(elements);
  if (xpos) {
    for (auto* table : {&tables.cos_k, &tables.sin_k}) table->resize(elements);
  }
  for (std::int64_t n = 0; n < half; ++n) {
    const double turn = frequency(n, rotary_dim, base, scaling);
    const auto dim = static_cast<double>(rotary_dim);
    const double growth = (2 * static_cast<double>(n) + 0.4 * dim) / (1.4 * dim);  // of xpos, per scale_base
    for (std::int64_t p = 0; p < positions; ++p) {
      const auto at = static_cast<std::size_t>(p * half + n);
      const double angle = static_cast<double>(p) * turn, c = std::cos(angle), s = std::sin(angle);
      const double m = xpos ? std::pow(growth, (static_cast<double>(p) - static_cast<double>(positions / 2)) /
                                                   scaling.scale_base)
                            : magnitude;
      tables.cos[at] = static_cast<float>(c * m);
      tables.sin[at] = static_cast<float>(s * m);
      if (!xpos) continue;
      tables.cos_k[at] = static_cast<float>(c / m);
      tables.sin_k[at] = static_cast<float>(s / m);
    }
  }
  return tables;
}

}  // namespace sprue
