// RuntimeOptions from the environment, and their checks. The only place of the library that reads SPRUE_*
// variables.
#include "runtime/options.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdlib>
#include <limits>
#include <string_view>
#include <system_error>

namespace sprue {
namespace {

namespace fs = std::filesystem;

/// Empty when the variable is unset: set but empty means the same.
std::string_view variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string_view() : std::string_view(value);
}

void read_switch(const char* name, bool& option) {
  const std::string_view text = variable(name);
  if (text.empty()) return;
  if (text == "1" || text == "on" || text == "true") {
    option = true;
  } else if (text == "0" || text == "off" || text == "false") {
    option = false;
  } else {
    throw ArgumentError(fmt::format("{} must be 1, on, true, 0, off or false, but is '{}'", name, text));
  }
}

void read_bytes(const char* name, std::uint64_t& option) {
  const std::string_view text = variable(name);
  if (text.empty()) return;
  std::uint64_t number = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit(rest, static_cast<std::size_t>(text.data() + text.size() - rest));
  const int shift = unit.empty() ? 0 : unit == "K" ? 10 : unit == "M" ? 20 : unit == "G" ? 30 : -1;
  if (error != std::errc() || shift < 0 || number > std::numeric_limits<std::uint64_t>::max() >> shift) {
    throw ArgumentError(
        fmt::format("{} must be a number of bytes, such as 1073741824, 512M or 2G (0: no limit), but is '{}'",
                    name, text));
  }
  option = number << shift;
}

void read_path(const char* name, fs::path& option) {
  if (const std::string_view text = variable(name); !text.empty()) option = text;
}

/// Paths separated by colons.
void read_paths(const char* name, std::vector<fs::path>& option) {
  std::string_view text = variable(name);
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(':'), text.size());
    if (end == 0) {
      throw ArgumentError(
          fmt::format("{} must be paths separated by single colons, but is '{}'", name, variable(name)));
    }
    option.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

}  // namespace

RuntimeOptions RuntimeOptions::from_environment() {
  RuntimeOptions options;
  read_path("SPRUE_CACHE_DIR", options.cache_directory);
  read_paths("SPRUE_CACHE_READONLY", options.read_only_caches);
  read_bytes("SPRUE_CACHE_LIMIT", options.cache_limit_bytes);
  read_switch("SPRUE_CACHE", options.disk_cache);
  read_switch("SPRUE_REQUIRE_PREWARMED", options.require_prewarmed);
  read_path("SPRUE_TEMPLATES", options.template_directory);
  read_paths("SPRUE_TUNED", options.tuned);
  read_path("SPRUE_RECORD", options.record);
  options.nvrtc = variable("SPRUE_NVRTC");
  return options;
}

fs::path default_cache_directory() {
  if (const fs::path xdg = variable("XDG_CACHE_HOME"); xdg.is_absolute()) return xdg / "sprue";
  if (const fs::path home = variable("HOME"); home.is_absolute()) return home / ".cache" / "sprue";
  return {};
}

void check(const RuntimeOptions& options) {
  std::error_code error;
  if (!options.template_directory.empty() && !fs::is_directory(options.template_directory, error)) {
    throw ArgumentError(
        fmt::format("template_directory (SPRUE_TEMPLATES) must be a directory, but '{}' is none",
                    options.template_directory.string()));
  }
  if (!options.allocator.allocate != !options.allocator.deallocate) {
    throw ArgumentError(fmt::format("allocator must have both functions or neither, but has only {}",
                                    options.allocator.allocate ? "allocate" : "deallocate"));
  }
}

}  // namespace sprue
