// render: writes a checked template as text.
#include "codegen/render.h"

#include <fmt/format.h>

#include <set>
#include <utility>

#include "codegen/template_check.h"
#include "sprue/error.h"

namespace sprue::codegen {
namespace {

constexpr std::int64_t kMaxIterations = 4096;    // of one loop
constexpr std::size_t kMaxSteps = 1 << 18;       // lines, directives and iterations of one rendering
constexpr std::size_t kMaxTextBytes = 16 << 20;  // of one rendering

/// Writes the checked files as text.
class Writer {
 public:
  Writer(const TemplateFiles& files, const KernelSpec& spec) : files_(files), values_(spec.problem) {
    values_.insert(spec.schedule.begin(), spec.schedule.end());
    line("// Rendered by Sprue: " + print(spec));
  }

  std::string run(const std::string& path) {
    write_file(path, true);
    return std::move(text_);
  }

 private:
  void write_file(const std::string& path, bool main) {
    if (!written_.insert(path).second) return;
    const std::string outer = std::exchange(path_, path);
    const bool outer_main = std::exchange(main_, main);
    blank_ = true;  // headers stand apart
    write(files_.find(path)->second);
    blank_ = true;
    path_ = outer;
    main_ = outer_main;
  }

  void write(const std::vector<TemplateNode>& nodes) {
    for (const TemplateNode& node : nodes) {
      step(node);
      switch (node.kind) {
        case TemplateNode::Kind::text:
          write_text(node);
          break;
        case TemplateNode::Kind::conditional:
          write_conditional(node);
          break;
        case TemplateNode::Kind::loop:
          write_loop(node);
          break;
        case TemplateNode::Kind::include:
          write_file(node.name, false);
          break;
      }
    }
  }

  void write_text(const TemplateNode& node) {
    std::string out;
    for (const Piece& piece : node.pieces) {
      out += piece.text;
      if (!piece.expression.empty()) out += print(piece.expression.evaluate(values_));
    }
    if (!main_ && out.starts_with("#pragma once")) return;
    line(out);
    if (text_.size() > kMaxTextBytes)
      fail(node, fmt::format("the rendered text exceeds {} bytes here", kMaxTextBytes));
  }

  void write_conditional(const TemplateNode& node) {
    for (const Branch& branch : node.branches) {
      if (branch.condition.empty() || branch.condition.is_true(values_)) return write(branch.body);
    }
  }

  void write_loop(const TemplateNode& node) {
    const std::int64_t low = node.low.integer(values_), high = node.high.integer(values_);
    std::int64_t count = 0;
    if (high > low && (__builtin_sub_overflow(high, low, &count) || count > kMaxIterations)) {
      fail(node, fmt::format("a for may run at most {} times, but this one runs from {} to {}",
                             kMaxIterations, low, high));
    }
    for (std::int64_t i = low; i < high; ++i) {
      step(node);
      values_[node.name] = i;
      write(node.branches.front().body);
    }
    values_.erase(node.name);
  }

  /// Appends a line; of several blank lines, one stays.
  void line(std::string_view content) {
    if (content.find_first_not_of(" \t\r\f\v") == std::string_view::npos) {
      blank_ = true;
      return;
    }
    if (blank_) text_ += '\n';
    blank_ = false;
    text_ += content;
    text_ += '\n';
  }

  void step(const TemplateNode& node) {
    if (++steps_ > kMaxSteps)
      fail(node, fmt::format("rendering takes more than {} steps; are loops nested too far?", kMaxSteps));
  }
  [[noreturn]] void fail(const TemplateNode& node, const std::string& message) const {
    throw TemplateError(path_, node.line, node.column, message);
  }

  const TemplateFiles& files_;
  Values values_;  // parameters, and the variables of the loops that run
  std::set<std::string> written_;
  std::string path_, text_;
  bool main_ = true, blank_ = false;
  std::size_t steps_ = 0;
};

}  // namespace

Source render(const TemplateStore& store, const Manifest& manifest, const KernelSpec& spec) {
  if (const std::string why = why_illegal_values(manifest, spec); !why.empty()) {
    throw ArgumentError(fmt::format("[{}] {}", manifest.kernel, why));
  }
  const TemplateFiles files = check_template(store, manifest);
  return {.spec = spec,
          .text = Writer(files, spec).run(manifest.template_path()),
          .launch = launch_shape(manifest, spec)};
}

}  // namespace sprue::codegen
