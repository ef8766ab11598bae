// PTX text to tokens.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace emulator {

struct Token {
  std::string text;  ///< A word ("mad.lo.s32", "%r1", "0f3F800000", ".reg", a quoted string) or one sign.
  int line = 0;
  bool operator==(std::string_view other) const { return text == other; }
};

/// Ends with a token of no text.
std::vector<Token> tokens_of(std::string_view text);

}  // namespace emulator
