// check_template: one walk over the template and its headers, whatever their conditions.
#include "codegen/template_check.h"

#include <fmt/format.h>

#include <algorithm>

#include "codegen/suggest.h"
#include "sprue/error.h"

namespace sprue::codegen {
namespace {

constexpr std::size_t kMaxIncludeDepth = 32;

using Names = std::vector<std::string>;

bool contains(const Names& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// "kHeadDim" for "HEAD_DIM"
std::string constant_of(std::string_view parameter) {
  std::string text = "k";
  bool upper = true;
  for (const char c : parameter) {
    if (c != '_') text += upper || c < 'A' ? c : static_cast<char>(c - 'A' + 'a');
    upper = c == '_';
  }
  return text;
}

/// Parses a template and everything it includes, and checks every name in it, also in branches that are not
/// taken.
class Checker {
 public:
  Checker(const TemplateStore& store, const Manifest& manifest) : store_(store), manifest_(manifest) {
    for (const Parameter& parameter : manifest.problem) problem_.push_back(parameter.name);
    for (const Parameter& parameter : manifest.schedule) schedule_.push_back(parameter.name);
    parameters_ = problem_;
    parameters_.insert(parameters_.end(), schedule_.begin(), schedule_.end());
  }

  TemplateFiles run() {
    const std::string path = manifest_.template_path();
    const std::string* text = store_.find(path);
    if (text == nullptr) throw TemplateError(path, 0, 0, "there is no such template");
    visit_file(path, *text, true);
    for (const std::string& name : parameters_) {
      if (contains(used_, name)) continue;
      const char* block = contains(problem_, name) ? "Problem" : "Schedule";
      throw TemplateError(
          path, 0, 0,
          fmt::format("the parameter {} is unused: ${{{}}} does not stand in the {} block and no "
                      "directive names it",
                      name, name, block));
    }
    return std::move(files_);
  }

 private:
  void visit_file(const std::string& path, const std::string& text, bool main) {
    including_.push_back(path);
    const auto it = files_.emplace(path, parse_template(path, text, main)).first;
    visit(it->second, {});
    including_.pop_back();
  }

  void visit(const std::vector<TemplateNode>& nodes, const Names& loops) {
    for (const TemplateNode& node : nodes) {
      switch (node.kind) {
        case TemplateNode::Kind::text:
          visit_text(node, loops);
          break;
        case TemplateNode::Kind::conditional:
          visit_conditional(node, loops);
          break;
        case TemplateNode::Kind::loop:
          visit_loop(node, loops);
          break;
        case TemplateNode::Kind::include:
          visit_include(node);
          break;
      }
    }
  }

  void visit_text(const TemplateNode& node, const Names& loops) {
    for (const Piece& piece : node.pieces) {
      if (piece.expression.empty()) continue;
      const std::string& text = piece.expression.text();
      if (is_upper_snake(text)) {
        check_parameter(node, piece.expression);
      } else {
        for (const std::string& name : piece.expression.names()) {
          if (contains(parameters_, name)) {
            piece.expression.fail(
                fmt::format("${{{}}} may use loop variables only, but uses the parameter {}", text, name));
          }
        }
        piece.expression.check_names(loops, "variable of a loop around this line");
      }
    }
  }

  /// ${NAME}: the right block, and there only.
  void check_parameter(const TemplateNode& node, const Expression& expression) {
    const std::string& name = expression.text();
    if (!contains(parameters_, name)) {
      expression.fail(fmt::format("unknown parameter {}{}", name, did_you_mean(name, parameters_)));
    }
    const bool problem = contains(problem_, name);
    if (node.block != (problem ? Block::problem : Block::schedule)) {
      expression.fail(fmt::format(
          "${{{}}} may stand only in the {} block; elsewhere use the constant bound to it there, {}", name,
          problem ? "Problem" : "Schedule", constant_of(name)));
    }
    used_.push_back(name);
  }

  void visit_expression(const Expression& expression, const Names& loops) {
    Names known = parameters_;
    known.insert(known.end(), loops.begin(), loops.end());
    expression.check_names(known, "parameter or loop variable");
    for (std::string& name : expression.names()) used_.push_back(std::move(name));
  }

  void visit_conditional(const TemplateNode& node, const Names& loops) {
    for (const Branch& branch : node.branches) {
      if (!branch.condition.empty()) visit_expression(branch.condition, loops);
      visit(branch.body, loops);
    }
  }

  void visit_loop(const TemplateNode& node, const Names& loops) {
    if (contains(loops, node.name))
      fail(node, fmt::format("the variable {} is already that of a loop around this one", node.name));
    visit_expression(node.low, loops);
    visit_expression(node.high, loops);
    Names inner = loops;
    inner.push_back(node.name);
    visit(node.branches.front().body, inner);
  }

  void visit_include(const TemplateNode& node) {
    if (contains(including_, node.name)) {
      std::string cycle;
      for (auto it = std::find(including_.begin(), including_.end(), node.name); it != including_.end(); ++it)
        cycle += *it + " -> ";
      fail(node, fmt::format("a file must not include itself: {}{}", cycle, node.name));
    }
    if (files_.contains(node.name)) return;
    const std::string* text = store_.find(node.name);
    if (text == nullptr) {
      Names headers;
      for (const std::string& path : store_.paths()) {
        if (path.ends_with(".cuh")) headers.push_back(path);
      }
      fail(node, fmt::format("there is no file {}{}", node.name, did_you_mean(node.name, headers)));
    }
    if (!node.name.ends_with(".cuh"))
      fail(node, fmt::format("only .cuh files can be included, not {}", node.name));
    if (including_.size() == kMaxIncludeDepth) {
      fail(node, fmt::format("includes may be nested at most {} deep", kMaxIncludeDepth));
    }
    visit_file(node.name, *text, false);
  }

  [[noreturn]] void fail(const TemplateNode& node, const std::string& message) const {
    throw TemplateError(including_.back(), node.line, node.column, message);
  }

  const TemplateStore& store_;
  const Manifest& manifest_;
  Names problem_, schedule_, parameters_, used_;
  Names including_;  // the chain of files from the template to the one being read
  TemplateFiles files_;
};

}  // namespace

TemplateFiles check_template(const TemplateStore& store, const Manifest& manifest) {
  return Checker(store, manifest).run();
}

}  // namespace sprue::codegen
