#include "core/architecture.h"

#include <fmt/format.h>

#include "sprue/error.h"

namespace sprue {

std::string Architecture::name() const {
  std::string text = fmt::format("sm_{}{}", major, minor);
  if (suffix != 0) text += suffix;
  return text;
}

std::optional<Architecture> parse_architecture(std::string_view text) {
  if (!text.starts_with("sm_")) return std::nullopt;
  text.remove_prefix(3);
  Architecture arch;
  if (!text.empty() && (text.back() == 'a' || text.back() == 'f')) {
    arch.suffix = text.back();
    text.remove_suffix(1);
  }
  if (text.size() < 2 || text.size() > 3) return std::nullopt;
  int number = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    number = 10 * number + (c - '0');
  }
  arch.major = number / 10;
  arch.minor = number % 10;
  return arch;
}

Architecture architecture(std::string_view text) {
  if (const auto arch = parse_architecture(text)) return *arch;
  throw ArgumentError(fmt::format("an architecture must look like sm_80, sm_90a or sm_100f, but is '{}'", text));
}

int shared_bytes_limit(const Architecture& arch) {
  switch (arch.sm()) {
    case 80:
    case 87: return 163 * 1024;
    case 90:
    case 100:
    case 101:
    case 103:
    case 110: return 227 * 1024;
    case 75: return 64 * 1024;
    default: return 99 * 1024;  // 86, 89, 120, 121 and anything not known here
  }
}

bool runs_on(const Architecture& built, const Architecture& device) {
  if (built.suffix == 'a') return built.major == device.major && built.minor == device.minor;
  return built.major == device.major && built.minor <= device.minor;
}

}  // namespace sprue
