// Normal values from a hash of seed and index (splitmix64's finaliser), by the Box-Muller transform.
#include "reference/random.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "reference/parallel.h"
#include "reference/scalar.h"

namespace sprue::reference {
namespace {

std::uint64_t mixed(std::uint64_t bits) {
  bits += 0x9e3779b97f4a7c15;
  bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9;
  bits = (bits ^ bits >> 27) * 0x94d049bb133111eb;
  return bits ^ bits >> 31;
}

}  // namespace

std::vector<float> random_normal(std::int64_t count, std::uint64_t seed, DType dtype, float deviation) {
  std::vector<float> values(static_cast<std::size_t>(count));
  const std::uint64_t stream = mixed(seed);
  constexpr std::int64_t kChunk = 1 << 16;
  parallel((count + kChunk - 1) / kChunk, [&](std::int64_t chunk) {
    const std::int64_t end = std::min(count, (chunk + 1) * kChunk);
    for (std::int64_t i = chunk * kChunk; i < end; ++i) {
      const std::uint64_t bits = mixed(stream ^ static_cast<std::uint64_t>(i));
      const float radius = static_cast<float>((bits >> 40) + 1) * 0x1p-24f;  // in (0, 1]
      const float angle = static_cast<float>(bits & 0xffffff) * 0x1p-24f;    // in [0, 1)
      const float normal = std::sqrt(-2 * std::log(radius)) * std::cos(2 * std::numbers::pi_v<float> * angle);
      values[i] = rounded(deviation * normal, dtype);
    }
  });
  return values;
}

}  // namespace sprue::reference
