// Template: the text of a kernel or device header, parsed into lines and directives; names are not checked.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "codegen/expression.h"

namespace sprue::codegen {

/// The part of a template that a line stands in.
enum class Block { none, problem, schedule };

/// Text up to a `${...}`, then that expression; the last piece of a line has no expression.
struct Piece {
  std::string text;
  Expression expression;
};

struct TemplateNode;

/// The body of an if, elif, else or for.
struct Branch {
  Expression condition;  ///< Empty: else, for.
  std::vector<TemplateNode> body;
};

struct TemplateNode {
  enum class Kind { text, conditional, loop, include };
  Kind kind = Kind::text;
  int line = 0, column = 0;
  Block block = Block::none;
  std::vector<Piece> pieces;     ///< Of a line of text.
  std::string name;              ///< The variable of a for, the path of an include.
  Expression low, high;          ///< Of a for: low, low + 1, ..., high - 1.
  std::vector<Branch> branches;  ///< Of an if; of a for, one.
};

/// TemplateError with line and column for a directive that is unknown, malformed or unbalanced, and for a bad
/// expression. Blocks are recognised only `with_blocks`: device headers have none.
std::vector<TemplateNode> parse_template(std::string_view path, std::string_view text, bool with_blocks);

}  // namespace sprue::codegen
