#include "table.h"

#include <fmt/format.h>

#include <algorithm>

namespace sprue::tools {
namespace {

constexpr std::size_t kNarrowest = 24;  // the last column gets at least this, even beyond the width

void append_line(std::string& out, std::string line) {
  line.erase(line.find_last_not_of(' ') + 1);
  out += line + '\n';
}

}  // namespace

Table::Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

void Table::add(std::vector<std::string> row) {
  row.resize(columns_.size());
  rows_.push_back(std::move(row));
}

std::string Table::print(int width) const {
  std::vector<std::size_t> widths;
  for (const Column& column : columns_) widths.push_back(column.title.size());
  for (const auto& row : rows_) {
    for (std::size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], row[c].size());
  }
  std::size_t indent = 0;
  for (std::size_t c = 0; c + 1 < widths.size(); ++c) indent += widths[c] + 2;
  const std::size_t room = std::max(
      kNarrowest, static_cast<std::size_t>(std::max(0, width)) - std::min<std::size_t>(width, indent));

  std::string out;
  const auto add_row = [&](const auto& cell_of) {
    std::string line;
    for (std::size_t c = 0; c + 1 < columns_.size(); ++c) {
      line += columns_[c].align == Column::left ? fmt::format("{:<{}}  ", cell_of(c), widths[c])
                                                : fmt::format("{:>{}}  ", cell_of(c), widths[c]);
    }
    const std::size_t last = columns_.size() - 1;
    if (columns_[last].align == Column::right)
      return append_line(out, line + fmt::format("{:>{}}", cell_of(last), widths[last]));
    for (const std::string& piece : wrap(cell_of(last), room)) {
      append_line(out, line + piece);
      line.assign(indent, ' ');
    }
  };
  add_row([&](std::size_t c) { return columns_[c].title; });
  for (const auto& row : rows_) add_row([&](std::size_t c) { return row[c]; });
  return out;
}

std::vector<std::string> wrap(const std::string& text, std::size_t width) {
  std::vector<std::string> lines{""};
  for (std::size_t start = 0; start < text.size();) {
    const std::size_t end = std::min(text.find(' ', start), text.size());
    const std::string word = text.substr(start, end - start);
    if (!lines.back().empty() && lines.back().size() + 1 + word.size() > width) lines.emplace_back();
    lines.back() += (lines.back().empty() ? "" : " ") + word;
    start = end + 1;
  }
  return lines;
}

}  // namespace sprue::tools
