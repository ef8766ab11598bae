// GPU architectures by name: "sm_80", "sm_90a", "sm_100f".
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace sprue {

struct Architecture {
  int major = 0;
  int minor = 0;
  char suffix = 0;  ///< 'a': exactly this chip; 'f': its family; 0: this major version from this minor on.

  int sm() const { return 10 * major + minor; }
  std::string name() const;  ///< "sm_90a"
  bool operator==(const Architecture&) const = default;
};

/// Nothing unless the text is "sm_" and two or three digits, then at most one of 'a' and 'f'.
std::optional<Architecture> parse_architecture(std::string_view text);
/// As above; an ArgumentError that names the text otherwise.
Architecture architecture(std::string_view text);

/// The most dynamic shared memory one block may ask for, in bytes (CUDA programming guide, "Technical specifications").
int shared_bytes_limit(const Architecture& arch);

/// Whether machine code for `built` runs on a device of compute capability `device`.
bool runs_on(const Architecture& built, const Architecture& device);

}  // namespace sprue
