// Expression: walking the tree, to its value or to its names.
#include "codegen/expression.h"

#include <fmt/format.h>

#include <algorithm>

#include "codegen/expression_node.h"
#include "codegen/suggest.h"
#include "sprue/error.h"

namespace sprue::codegen {
namespace {

const char* kind_of(const Value& value) {
  constexpr const char* kKinds[] = {"boolean", "integer", "string"};
  return kKinds[value.index()];
}

/// One walk over the tree of one expression.
class Evaluation {
 public:
  Evaluation(const Expression& expression, const Values& values) : at_(expression), values_(values) {}

  Value value(const ExpressionNode& node) const {
    switch (node.op) {
      case Operator::literal:
        return node.value;
      case Operator::name:
        return lookup(node);
      case Operator::negate:
        return arithmetic(node, 0, integer(node, *node.left));
      case Operator::logical_not:
        return !boolean(node, *node.left);
      case Operator::logical_or:
        return boolean(node, *node.left) || boolean(node, *node.right);
      case Operator::logical_and:
        return boolean(node, *node.left) && boolean(node, *node.right);
      case Operator::equal:
        return equal(node);
      case Operator::unequal:
        return !equal(node);
      case Operator::less:
        return integer(node, *node.left) < integer(node, *node.right);
      case Operator::less_equal:
        return integer(node, *node.left) <= integer(node, *node.right);
      case Operator::greater:
        return integer(node, *node.left) > integer(node, *node.right);
      case Operator::greater_equal:
        return integer(node, *node.left) >= integer(node, *node.right);
      case Operator::condition:
        return value(boolean(node, *node.left) ? *node.right->left : *node.right->right);
      default:
        return arithmetic(node, integer(node, *node.left), integer(node, *node.right));
    }
  }

 private:
  const Value& lookup(const ExpressionNode& node) const {
    const auto it = values_.find(node.name);
    if (it != values_.end()) return it->second;
    std::vector<std::string> known;
    for (const auto& [name, value] : values_) known.push_back(name);
    at_.fail(fmt::format("unknown name {}{}", node.name, did_you_mean(node.name, known)), node.offset);
  }

  bool boolean(const ExpressionNode& parent, const ExpressionNode& node) const {
    const Value result = value(node);
    if (const bool* b = std::get_if<bool>(&result)) return *b;
    at_.fail(fmt::format("{} needs a boolean, but is given the {} {}", parent.symbol, kind_of(result),
                         print(result)),
             node.offset);
  }

  std::int64_t integer(const ExpressionNode& parent, const ExpressionNode& node) const {
    const Value result = value(node);
    if (const std::int64_t* i = std::get_if<std::int64_t>(&result)) return *i;
    at_.fail(fmt::format("{} needs an integer, but is given the {} {}", parent.symbol, kind_of(result),
                         print(result)),
             node.offset);
  }

  bool equal(const ExpressionNode& node) const {
    const Value left = value(*node.left), right = value(*node.right);
    if (left.index() != right.index()) {
      at_.fail(fmt::format("{} compares two values of one kind, but is given the {} {} and the {} {}",
                           node.symbol, kind_of(left), print(left), kind_of(right), print(right)),
               node.offset);
    }
    return left == right;
  }

  std::int64_t arithmetic(const ExpressionNode& node, std::int64_t a, std::int64_t b) const {
    std::int64_t result = 0;
    bool overflow = false;
    switch (node.op) {
      case Operator::add:
        overflow = __builtin_add_overflow(a, b, &result);
        break;
      case Operator::negate:
      case Operator::subtract:
        overflow = __builtin_sub_overflow(a, b, &result);
        break;
      case Operator::multiply:
        overflow = __builtin_mul_overflow(a, b, &result);
        break;
      case Operator::minimum:
        return std::min(a, b);
      case Operator::maximum:
        return std::max(a, b);
      default:
        if (b == 0) at_.fail(fmt::format("{} {} 0 divides by zero", a, node.symbol), node.offset);
        if (b == -1) {  // the one quotient that does not fit: INT64_MIN / -1
          overflow = __builtin_sub_overflow(std::int64_t{0}, a, &result);
          if (node.op == Operator::remainder) return 0;
        } else {
          result = node.op == Operator::divide ? a / b : a % b;
        }
    }
    if (overflow) at_.fail(fmt::format("{} {} {} does not fit in 64 bits", a, node.symbol, b), node.offset);
    return result;
  }

  const Expression& at_;
  const Values& values_;
};

/// Calls visit(node) for every name, in the order written.
template <class Visit>
void for_each_name(const ExpressionNode* node, const Visit& visit) {
  if (node == nullptr) return;
  if (node->op == Operator::name) visit(*node);
  for_each_name(node->left.get(), visit);
  for_each_name(node->right.get(), visit);
}

}  // namespace

Value Expression::evaluate(const Values& values) const {
  return Evaluation(*this, values).value(*root_);
}

bool Expression::is_true(const Values& values) const {
  const Value result = evaluate(values);
  if (const bool* b = std::get_if<bool>(&result)) return *b;
  fail(fmt::format("expected a condition, but '{}' is the {} {}", text_, kind_of(result), print(result)));
}

std::int64_t Expression::integer(const Values& values) const {
  const Value result = evaluate(values);
  if (const std::int64_t* i = std::get_if<std::int64_t>(&result)) return *i;
  fail(fmt::format("expected an integer, but '{}' is the {} {}", text_, kind_of(result), print(result)));
}

std::vector<std::string> Expression::names() const {
  std::vector<std::string> found;
  for_each_name(root_.get(), [&](const ExpressionNode& node) { found.push_back(node.name); });
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

void Expression::check_names(const std::vector<std::string>& known, std::string_view what) const {
  for_each_name(root_.get(), [&](const ExpressionNode& node) {
    if (std::find(known.begin(), known.end(), node.name) != known.end()) return;
    fail(fmt::format("{} is no {}{}", node.name, what, did_you_mean(node.name, known)), node.offset);
  });
}

void Expression::fail(const std::string& message, std::size_t offset) const {
  throw TemplateError(file_, line_, column_ + static_cast<int>(offset), message);
}

}  // namespace sprue::codegen
