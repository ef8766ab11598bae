// The header of a .npy file: {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sprue::tools {

constexpr std::size_t kMaxNpyRank = 32;  ///< NumPy's own limit.

struct NpyHeader {
  std::string descr;
  bool fortran_order = false;
  std::vector<std::int64_t> shape;
};

/// ArgumentError, starting with `name`, unless the text is such a dict literal and nothing else.
NpyHeader parse_npy_header(std::string_view text, std::string_view name);

}  // namespace sprue::tools
