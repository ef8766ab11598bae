#include "emulator/lexer.h"

#include <cctype>

#include "emulator/fault.h"

namespace emulator {
namespace {

bool in_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '$' || c == '%' || c == '.';
}

}  // namespace

std::vector<Token> tokens_of(std::string_view text) {
  std::vector<Token> tokens;
  int line = 1;
  for (std::size_t i = 0; i < text.size();) {
    const char c = text[i];
    if (c == '\n') ++line;
    if (std::isspace(static_cast<unsigned char>(c)) || c == '\0') {
      ++i;
    } else if (text.substr(i, 2) == "//") {
      i = std::min(text.find('\n', i), text.size());
    } else if (text.substr(i, 2) == "/*") {
      const std::size_t end = text.find("*/", i);
      if (end == text.npos) refuse("line {}: a comment does not end", line);
      for (; i < end + 2; ++i) line += text[i] == '\n';
    } else if (c == '"') {
      const std::size_t end = text.find('"', i + 1);
      if (end == text.npos) refuse("line {}: a string does not end", line);
      tokens.push_back({std::string(text.substr(i, end + 1 - i)), line});
      i = end + 1;
    } else if (in_word(c)) {
      std::size_t end = i;
      while (end < text.size() && (in_word(text[end]) || text.substr(end, 2) == "::")) {
        end += text[end] == ':' ? 2 : 1;
      }
      tokens.push_back({std::string(text.substr(i, end - i)), line});
      i = end;
    } else {
      tokens.push_back({std::string(1, c), line});
      ++i;
    }
  }
  tokens.push_back({"", line});
  return tokens;
}

}  // namespace emulator
