// Reads NVRTC's log: the first error and its place, and what ptxas -v says about a kernel.
#include "compiler/diagnostics.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>

#include "compiler/compiler.h"

namespace sprue::compiler {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

/// The next line of `text`, which is shortened by it.
std::string_view take_line(std::string_view& text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

/// 32 for "Used 32 registers" and " registers"; 0 where there is no such number.
int number_before(std::string_view line, std::string_view words) {
  const std::size_t end = line.find(words);
  if (end == std::string_view::npos) return 0;
  std::size_t begin = end;
  while (begin > 0 && is_digit(line[begin - 1])) --begin;
  int number = 0;
  std::from_chars(line.data() + begin, line.data() + end, number);
  return number;
}

/// 12 for "rms_norm.cu(12): error: ...", 0 for a line that names no place in the source.
int error_line(std::string_view line) {
  for (const std::string_view mark : {"): error", "): catastrophic error"}) {
    if (const int number = number_before(line, mark)) return number;
  }
  return 0;
}

}  // namespace

std::string_view first_error(std::string_view log) {
  for (std::string_view rest = log; !rest.empty();) {
    const std::string_view line = take_line(rest);
    for (const std::string_view mark :
         {": error", "; error", "catastrophic error", "Command-line error", "ptxas fatal"}) {
      if (contains(line, mark)) return line;
    }
  }
  return take_line(log);
}

std::string numbered_excerpt(std::string_view source, std::string_view log) {
  constexpr int kLinesAround = 4;
  int wanted = 0;
  while (wanted == 0 && !log.empty()) wanted = error_line(take_line(log));
  if (wanted == 0) return {};
  std::string excerpt;
  for (int number = 1; !source.empty() && number <= wanted + kLinesAround; ++number) {
    const std::string_view line = take_line(source);
    if (number < wanted - kLinesAround) continue;
    fmt::format_to(std::back_inserter(excerpt), "{} {:>5} | {}\n", number == wanted ? '>' : ' ', number,
                   line);
  }
  return excerpt;
}

Resources parse_resources(std::string_view log, std::string_view entry) {
  const std::string entry_line = fmt::format("Compiling entry function '{}'", entry);
  const std::string properties_line = fmt::format("Function properties for {}", entry);
  Resources resources;
  bool in_entry = false;  // what follows was compiled for the entry: itself and the functions it calls
  bool is_entry_itself = false;
  while (!log.empty()) {
    const std::string_view line = take_line(log);
    if (contains(line, "(C75")) resources.advisories.emplace_back(line);
    if (contains(line, "Compiling entry function")) in_entry = contains(line, entry_line);
    if (!in_entry) continue;
    if (contains(line, "Function properties for")) is_entry_itself = line.ends_with(properties_line);
    resources.spill_bytes +=
        number_before(line, " bytes spill stores") + number_before(line, " bytes spill loads");
    if (is_entry_itself) resources.stack_bytes += number_before(line, " bytes stack frame");
    resources.registers += number_before(line, " registers");
    resources.static_shared_bytes += number_before(line, " bytes smem");
  }
  return resources;
}

}  // namespace sprue::compiler
