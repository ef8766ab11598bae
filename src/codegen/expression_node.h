// ExpressionNode: one operator, name or literal of a parsed expression.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "core/values.h"

namespace sprue::codegen {

enum class Operator {
  literal,
  name,
  negate,
  logical_not,
  logical_or,
  logical_and,
  equal,
  unequal,
  less,
  less_equal,
  greater,
  greater_equal,
  add,
  subtract,
  multiply,
  divide,
  remainder,
  minimum,
  maximum,
  condition,    // left ? right
  alternatives  // left : right; only under a condition
};

struct ExpressionNode {
  Operator op = Operator::literal;
  std::string_view symbol;  // as written, for messages
  std::size_t offset = 0;   // of the symbol in the text
  int depth = 1;
  Value value;       // of a literal
  std::string name;  // of a name
  std::shared_ptr<const ExpressionNode> left, right;
};

}  // namespace sprue::codegen
