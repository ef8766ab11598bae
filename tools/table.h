// Table: rows of text in aligned columns; the last column is wrapped at spaces to fit the width.
#pragma once

#include <string>
#include <vector>

namespace sprue::tools {

struct Column {
  std::string title;
  enum Align { left, right } align = left;
};

class Table {
 public:
  explicit Table(std::vector<Column> columns);

  /// One cell per column.
  void add(std::vector<std::string> row);
  /// The title line, then the rows. Every line ends with a newline and has no trailing space.
  std::string print(int width) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

/// `text` broken at spaces into lines of at most `width`; a longer word stays whole.
std::vector<std::string> wrap(const std::string& text, std::size_t width);

}  // namespace sprue::tools
