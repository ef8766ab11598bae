#include "commands/explain_diff.h"

#include <fmt/format.h>

#include <filesystem>
#include <sstream>
#include <vector>

#include "entries.h"
#include "output.h"
#include "sprue/error.h"

namespace sprue::tools {
namespace {

constexpr int kMostLines = 6;

cache::Entry entry_of(const std::string& name) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(name, error)) return load(only_entry(entries_of(cache_path()), name));
  std::string problem;
  auto entry = cache::decode_entry(read_file(name), &problem);
  if (!entry) throw CacheError(fmt::format("{} is no intact cache entry: {}", name, problem));
  return *std::move(entry);
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

std::string differing_lines(const std::string& a, const std::string& b) {
  const std::vector<std::string> left = lines_of(a), right = lines_of(b);
  std::string text;
  int shown = 0;
  for (std::size_t i = 0; i < std::max(left.size(), right.size()) && shown < kMostLines; ++i) {
    const std::string l = i < left.size() ? left[i] : "(no such line)",
                      r = i < right.size() ? right[i] : "(no such line)";
    if (l == r) continue;
    text += fmt::format("    line {}\n      a: {}\n      b: {}\n", i + 1, l, r);
    ++shown;
  }
  return text;
}

std::string difference(const std::string& name, const std::string* a, const std::string* b) {
  const std::string left = a == nullptr ? "(absent)" : *a, right = b == nullptr ? "(absent)" : *b;
  if (left == right) return "";
  if (name == "source")
    return fmt::format("  source: the first lines that differ\n{}", differing_lines(left, right));
  return fmt::format("  {}\n    a: {}\n    b: {}\n", name, left, right);
}

}  // namespace

std::string explain_diff(const std::string& a_name, const std::string& b_name) {
  const cache::Entry a = entry_of(a_name), b = entry_of(b_name);
  std::string text = difference("toolchain (NVRTC's build id)", &a.key.toolchain, &b.key.toolchain);
  for (const Field& field : a.record)
    text += difference(field.name, &field.value, find(b.record, field.name));
  for (const Field& field : b.record) {
    if (find(a.record, field.name) == nullptr) text += difference(field.name, nullptr, &field.value);
  }
  const std::string names = fmt::format("a: {}\nb: {}\n", a.key.name(), b.key.name());
  return names +
         (text.empty() ? "Nothing differs: the keys are equal.\n" : "These fields make two keys:\n" + text);
}

}  // namespace sprue::tools
