// SHA-256. The only home of OpenSSL.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace sprue {

struct Digest {
  std::array<unsigned char, 32> bytes{};

  std::string hex() const;
  /// 64 lower-case hexadecimal digits, or nothing.
  static std::optional<Digest> from_hex(std::string_view text);
  auto operator<=>(const Digest&) const = default;
};

Digest sha256(std::span<const std::byte> bytes);
Digest sha256(std::string_view text);

}  // namespace sprue
