// Expression from text: precedence climbing, to a tree of bounded depth.
#include <fmt/format.h>

#include <algorithm>

#include "codegen/expression.h"
#include "codegen/expression_node.h"

namespace sprue::codegen {
namespace {

using Node = std::shared_ptr<const ExpressionNode>;

constexpr int kMaxDepth = 128;  // bounds the stack that parsing, evaluating and destroying use
constexpr std::size_t kMaxBytes = 1 << 14;

struct Infix {
  std::string_view symbol;
  Operator op;
  int precedence;
};
constexpr int kComparison = 3;
constexpr Infix kInfix[] = {
    // two-character symbols first
    {"||", Operator::logical_or, 1}, {"&&", Operator::logical_and, 2}, {"==", Operator::equal, 3},
    {"!=", Operator::unequal, 3},    {"<=", Operator::less_equal, 3},  {">=", Operator::greater_equal, 3},
    {"<", Operator::less, 3},        {">", Operator::greater, 3},      {"+", Operator::add, 4},
    {"-", Operator::subtract, 4},    {"*", Operator::multiply, 5},     {"/", Operator::divide, 5},
    {"%", Operator::remainder, 5},
};

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

bool all_of_name(std::string_view text, char first, char last) {
  return !text.empty() && text[0] >= first && text[0] <= last &&
         std::all_of(text.begin(), text.end(),
                     [&](char c) { return (c >= first && c <= last) || is_digit(c) || c == '_'; });
}

}  // namespace

bool is_upper_snake(std::string_view text) {
  return all_of_name(text, 'A', 'Z');
}
bool is_lower_snake(std::string_view text) {
  return all_of_name(text, 'a', 'z');
}

class ExpressionParser {
 public:
  explicit ExpressionParser(const Expression& expression) : at_(expression), text_(expression.text()) {}

  Node parse() {
    if (text_.size() > kMaxBytes)
      at_.fail(fmt::format("an expression may have at most {} characters", kMaxBytes));
    Node root = condition(1);
    if (pos_ < text_.size()) fail("an operator");
    return root;
  }

 private:
  Node condition(int depth) {
    Node when = infix(1, depth);
    skip_spaces();
    const std::size_t offset = pos_;
    if (!take('?')) return when;
    Node yes = condition(depth + 1);
    if (!take(':')) fail(fmt::format("a : for the ? at character {}", offset + 1));
    Node no = condition(depth + 1);
    return node(Operator::condition, "?", offset, when, node(Operator::alternatives, ":", offset, yes, no));
  }

  Node infix(int lowest, int depth) {
    Node left = prefix(depth);
    bool compared = false;
    for (;;) {
      const Infix* found = peek_infix();
      if (found == nullptr || found->precedence < lowest) return left;
      if (found->precedence == kComparison && compared) {
        at_.fail("comparisons do not chain: write a < b && b < c", pos_);
      }
      compared = found->precedence == kComparison;
      const std::size_t offset = pos_;
      pos_ += found->symbol.size();
      left = node(found->op, found->symbol, offset, left, infix(found->precedence + 1, depth + 1));
    }
  }

  Node prefix(int depth) {
    if (depth > kMaxDepth) too_deep();
    skip_spaces();
    const std::size_t offset = pos_;
    if (take('!')) return node(Operator::logical_not, "!", offset, prefix(depth + 1), nullptr);
    if (take('-')) return node(Operator::negate, "-", offset, prefix(depth + 1), nullptr);
    if (take('(')) {
      Node inside = condition(depth + 1);
      if (!take(')')) fail(fmt::format("a ) for the ( at character {}", offset + 1));
      return inside;
    }
    if (take('\'')) return string(offset);
    if (pos_ < text_.size() && is_digit(text_[pos_])) return integer();
    if (pos_ < text_.size() && is_letter(text_[pos_])) return name(depth);
    fail("a value");
  }

  Node string(std::size_t offset) {
    const std::size_t end = text_.find('\'', pos_);
    if (end == std::string_view::npos) at_.fail("the string that starts here has no closing '", offset);
    const std::string_view text = text_.substr(pos_, end - pos_);
    pos_ = end + 1;
    return literal(std::string(text), offset);
  }

  Node integer() {
    const std::size_t offset = pos_;
    std::int64_t number = 0;
    for (; pos_ < text_.size() && is_digit(text_[pos_]); ++pos_) {
      if (__builtin_mul_overflow(number, 10, &number) ||
          __builtin_add_overflow(number, text_[pos_] - '0', &number)) {
        at_.fail("an integer must fit in 64 bits", offset);
      }
    }
    if (pos_ < text_.size() && is_letter(text_[pos_])) fail("an operator after the number");
    return literal(number, offset);
  }

  Node name(int depth) {
    const std::size_t offset = pos_;
    while (pos_ < text_.size() && (is_letter(text_[pos_]) || is_digit(text_[pos_]))) ++pos_;
    const std::string_view text = text_.substr(offset, pos_ - offset);
    if (text == "true" || text == "false") return literal(text == "true", offset);
    if (text == "min" || text == "max") {
      if (!take('(')) fail(fmt::format("a ( after {}", text));
      Node left = condition(depth + 1);
      if (!take(',')) fail(fmt::format("a , between the two arguments of {}", text));
      Node right = condition(depth + 1);
      if (!take(')')) fail(fmt::format("a ) after the two arguments of {}", text));
      return node(text == "min" ? Operator::minimum : Operator::maximum, text == "min" ? "min" : "max",
                  offset, left, right);
    }
    ExpressionNode made;
    made.op = Operator::name;
    made.offset = offset;
    made.name = text;
    return std::make_shared<const ExpressionNode>(std::move(made));
  }

  Node literal(Value value, std::size_t offset) {
    ExpressionNode made;
    made.offset = offset;
    made.value = std::move(value);
    return std::make_shared<const ExpressionNode>(std::move(made));
  }

  Node node(Operator op, std::string_view symbol, std::size_t offset, Node left, Node right) {
    ExpressionNode made;
    made.op = op;
    made.symbol = symbol;
    made.offset = offset;
    made.depth = 1 + std::max(left->depth, right ? right->depth : 0);
    if (made.depth > kMaxDepth) too_deep();
    made.left = std::move(left);
    made.right = std::move(right);
    return std::make_shared<const ExpressionNode>(std::move(made));
  }

  const Infix* peek_infix() {
    skip_spaces();
    for (const Infix& infix : kInfix) {
      if (text_.substr(pos_).starts_with(infix.symbol)) return &infix;
    }
    return nullptr;
  }

  void skip_spaces() {
    while (pos_ < text_.size() && (text_[pos_] == ' ' || text_[pos_] == '\t')) ++pos_;
  }
  bool take(char c) {
    skip_spaces();
    if (pos_ == text_.size() || text_[pos_] != c) return false;
    ++pos_;
    return true;
  }
  [[noreturn]] void fail(const std::string& expected) {
    skip_spaces();
    if (pos_ == text_.size())
      at_.fail(fmt::format("expected {}, but the expression ends here", expected), pos_);
    at_.fail(fmt::format("expected {}, but found '{}'", expected, text_.substr(pos_, 20)), pos_);
  }
  [[noreturn]] void too_deep() {
    at_.fail(fmt::format("an expression may be nested at most {} deep", kMaxDepth), pos_);
  }

  const Expression& at_;
  std::string_view text_;
  std::size_t pos_ = 0;
};

Expression Expression::parse(std::string_view text, std::string_view file, int line, int column) {
  Expression expression;
  expression.text_ = text;
  expression.file_ = file;
  expression.line_ = line;
  expression.column_ = column;
  expression.root_ = ExpressionParser(expression).parse();
  return expression;
}

}  // namespace sprue::codegen
