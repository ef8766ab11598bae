// Template: one pass over the lines, with a stack of open directives.
#include "codegen/template.h"

#include <fmt/format.h>

#include "codegen/suggest.h"
#include "sprue/error.h"

namespace sprue::codegen {
namespace {

constexpr std::size_t kMaxNesting = 32;
constexpr std::string_view kBlank = " \t\r\f\v";

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

class TemplateParser {
 public:
  TemplateParser(std::string_view path, std::string_view text, bool with_blocks)
      : path_(path), rest_(text), with_blocks_(with_blocks) {}

  std::vector<TemplateNode> parse() {
    while (!rest_.empty()) {
      const std::size_t end = rest_.find('\n');
      line_text_ = rest_.substr(0, end);
      rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end + 1);
      if (line_text_.ends_with('\r')) line_text_.remove_suffix(1);
      ++line_;
      parse_line();
    }
    if (!open_.empty()) {
      const TemplateNode& node = open_.back();
      throw TemplateError(path_, node.line, node.column,
                          fmt::format("this {} has no `//% end`", name_of(node)));
    }
    return std::move(nodes_);
  }

 private:
  void parse_line() {
    const std::string_view content = trimmed(line_text_);
    if (const std::size_t nul = line_text_.find('\0'); nul != std::string_view::npos)
      fail(nul, "a template must not contain NUL bytes");
    if (content.starts_with("//%")) return parse_directive(content.substr(3));
    if (with_blocks_) enter_or_leave_block(content);
    TemplateNode node = make(TemplateNode::Kind::text);
    node.pieces = parse_pieces();
    body().push_back(std::move(node));
  }

  void enter_or_leave_block(std::string_view content) {
    if (content.empty()) block_ = Block::none;
    for (const Block block : {Block::problem, Block::schedule}) {
      if (!content.starts_with(block == Block::problem ? "// Problem:" : "// Schedule:")) continue;
      int& seen = block == Block::problem ? problem_line_ : schedule_line_;
      if (seen != 0)
        fail(offset_of(content), fmt::format("this block has already been opened in line {}", seen));
      seen = line_;
      block_ = block;
    }
  }

  std::vector<Piece> parse_pieces() {
    std::vector<Piece> pieces(1);
    std::size_t done = 0;
    for (std::size_t open; (open = line_text_.find("${", done)) != std::string_view::npos;) {
      const std::size_t close = line_text_.find('}', open);
      if (close == std::string_view::npos) fail(open, "this ${ has no } in its line");
      pieces.back().text = line_text_.substr(done, open - done);
      pieces.back().expression = expression(line_text_.substr(open + 2, close - open - 2));
      pieces.emplace_back();
      done = close + 1;
    }
    pieces.back().text = line_text_.substr(done);
    return pieces;
  }

  void parse_directive(std::string_view content) {
    content = trimmed(content);
    const std::size_t space = content.find_first_of(kBlank);
    const std::string_view word = content.substr(0, space);
    const std::string_view rest =
        space == std::string_view::npos ? content.substr(content.size()) : trimmed(content.substr(space));
    if (word == "if") return open_if(rest);
    if (word == "for") return open_for(rest);
    if (word == "include") return include(rest);
    if (word == "elif" || word == "else") return next_branch(word, rest);
    if (word == "end") return close(rest);
    const std::vector<std::string> known = {"if", "elif", "else", "for", "include", "end"};
    fail(offset_of(line_text_.substr(line_text_.find("//%"))),
         fmt::format("unknown directive '{}'{}; the directives are {}", word, did_you_mean(word, known),
                     join(known)));
  }

  void open_if(std::string_view condition) {
    TemplateNode node = make(TemplateNode::Kind::conditional);
    node.branches.push_back({directive_expression("if", condition), {}});
    push(std::move(node));
  }

  void open_for(std::string_view rest) {
    // for i in LOW..HIGH
    const std::size_t name_end = rest.find_first_of(kBlank);
    const std::string_view name = rest.substr(0, name_end);
    const std::string_view range = name_end == std::string_view::npos ? "" : trimmed(rest.substr(name_end));
    const std::size_t dots = range.find("..");
    if (!range.starts_with("in ") || dots == std::string_view::npos) {
      fail_directive(fmt::format("expected `for i in LOW..HIGH`, but found `for {}`", rest));
    }
    if (!is_lower_snake(name)) {
      fail(offset_of(name), fmt::format("a loop variable must look like i or key_tile, but is '{}'", name));
    }
    TemplateNode node = make(TemplateNode::Kind::loop);
    node.name = name;
    node.low = expression(trimmed(range.substr(2, dots - 2)));
    node.high = expression(trimmed(range.substr(dots + 2)));
    node.branches.emplace_back();
    push(std::move(node));
  }

  void include(std::string_view rest) {
    if (rest.size() < 3 || !rest.starts_with('"') || rest.find('"', 1) != rest.size() - 1) {
      fail_directive(fmt::format("expected `include \"device/name.cuh\"`, but found `include {}`", rest));
    }
    TemplateNode node = make(TemplateNode::Kind::include);
    node.name = rest.substr(1, rest.size() - 2);
    for (const TemplateNode& outer : open_) {
      if (outer.kind == TemplateNode::Kind::loop) fail_directive("an include must not stand inside a for");
    }
    body().push_back(std::move(node));
  }

  void next_branch(std::string_view word, std::string_view rest) {
    if (open_.empty() || open_.back().kind != TemplateNode::Kind::conditional) {
      fail_directive(fmt::format("{} without an if", word));
    }
    std::vector<Branch>& branches = open_.back().branches;
    if (branches.back().condition.empty()) fail_directive(fmt::format("{} after else", word));
    if (word == "else" && !rest.empty())
      fail(offset_of(rest), fmt::format("nothing may follow else, but found '{}'", rest));
    branches.push_back({word == "else" ? Expression() : directive_expression(word, rest), {}});
  }

  void close(std::string_view rest) {
    if (!rest.empty()) fail(offset_of(rest), fmt::format("nothing may follow end, but found '{}'", rest));
    if (open_.empty()) fail_directive("end without an if or for");
    TemplateNode node = std::move(open_.back());
    open_.pop_back();
    body().push_back(std::move(node));
  }

  void push(TemplateNode node) {
    if (open_.size() == kMaxNesting)
      fail_directive(fmt::format("directives may be nested at most {} deep", kMaxNesting));
    open_.push_back(std::move(node));
  }

  /// Where the next line goes.
  std::vector<TemplateNode>& body() { return open_.empty() ? nodes_ : open_.back().branches.back().body; }

  TemplateNode make(TemplateNode::Kind kind) const {
    TemplateNode node;
    node.kind = kind;
    node.line = line_;
    node.column = static_cast<int>(line_text_.find_first_not_of(kBlank)) + 1;
    node.block = block_;
    return node;
  }

  static const char* name_of(const TemplateNode& node) {
    return node.kind == TemplateNode::Kind::loop ? "for" : "if";
  }

  Expression directive_expression(std::string_view word, std::string_view text) const {
    if (text.empty()) fail_directive(fmt::format("expected a condition after {}", word));
    return expression(text);
  }

  /// `text` is a part of the current line.
  Expression expression(std::string_view text) const {
    return Expression::parse(text, path_, line_, static_cast<int>(offset_of(text)) + 1);
  }

  std::size_t offset_of(std::string_view part) const {
    return static_cast<std::size_t>(part.data() - line_text_.data());
  }
  [[noreturn]] void fail(std::size_t offset, const std::string& message) const {
    throw TemplateError(path_, line_, static_cast<int>(offset) + 1, message);
  }
  [[noreturn]] void fail_directive(const std::string& message) const {
    fail(line_text_.find("//%"), message);
  }

  const std::string path_;
  std::string_view rest_, line_text_;
  const bool with_blocks_;
  int line_ = 0, problem_line_ = 0, schedule_line_ = 0;
  Block block_ = Block::none;
  std::vector<TemplateNode> nodes_;
  std::vector<TemplateNode> open_;  // directives without their end yet, outermost first
};

}  // namespace

std::vector<TemplateNode> parse_template(std::string_view path, std::string_view text, bool with_blocks) {
  return TemplateParser(path, text, with_blocks).parse();
}

}  // namespace sprue::codegen
