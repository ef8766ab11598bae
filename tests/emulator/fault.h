// What the emulator throws: Refused for PTX that it cannot load, Fault for a kernel that does something
// wrong.
#pragma once

#include <fmt/format.h>

#include <stdexcept>

namespace emulator {

struct Refused : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Thrown by an instruction with what is wrong; the warp adds where.
struct Fault : std::runtime_error {
  using std::runtime_error::runtime_error;
};

template <class... Values>
[[noreturn]] void refuse(fmt::format_string<const Values&...> message, const Values&... values) {
  throw Refused(fmt::format(message, values...));
}
template <class... Values>
[[noreturn]] void fault(fmt::format_string<const Values&...> message, const Values&... values) {
  throw Fault(fmt::format(message, values...));
}

}  // namespace emulator
