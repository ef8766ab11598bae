// Expression: arithmetic and comparisons over named values, as written in manifests and `//% if` lines.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/values.h"

namespace sprue::codegen {

struct ExpressionNode;

/// Grammar, loosest first: `a ? b : c`, `a || b`, `a && b`, `== != < <= > >=`, `+ -`, `* / %`, `! -`, then
/// `min(a, b)`, `max(a, b)`, names, integers, 'strings', true, false, parentheses. `&&` and `||` look at
/// their right side only when they must, `?` at one of its alternatives; comparisons do not chain; division
/// rounds toward zero. Immutable, cheap to copy.
class Expression {
 public:
  Expression() = default;
  /// `file`, `line`, `column` say where the text starts; TemplateError points into it.
  static Expression parse(std::string_view text, std::string_view file, int line, int column);

  /// TemplateError for an unknown name, a type mismatch, division by zero or overflow.
  Value evaluate(const Values& values) const;
  bool is_true(const Values& values) const;          ///< TemplateError unless the result is a boolean.
  std::int64_t integer(const Values& values) const;  ///< TemplateError unless the result is an integer.
  std::vector<std::string> names() const;            ///< Every name used, sorted, once.
  /// TemplateError that points at the first name that is not in `known`, with `what` it should have been.
  void check_names(const std::vector<std::string>& known, std::string_view what) const;
  const std::string& text() const { return text_; }
  bool empty() const { return root_ == nullptr; }
  /// TemplateError that points at this expression, or `offset` characters into it.
  [[noreturn]] void fail(const std::string& message, std::size_t offset = 0) const;

 private:
  friend class ExpressionParser;

  std::shared_ptr<const ExpressionNode> root_;
  std::string text_, file_;
  int line_ = 0, column_ = 0;
};

/// "HEAD_DIM", a parameter's name: an upper-case letter, then upper-case letters, digits and underscores.
bool is_upper_snake(std::string_view text);
/// "key_tile", a loop variable's name: a lower-case letter, then lower-case letters, digits and underscores.
bool is_lower_snake(std::string_view text);

}  // namespace sprue::codegen
