// The operators cross_entropy and cross_entropy_backward of the command.
#include "reference/cross_entropy.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "operators/operator.h"
#include "sprue/error.h"
#include "sprue/ops.h"

namespace sprue::tools {
namespace {

struct LossShape {
  std::int64_t rows = 0, classes = 0;
  bool dlogits = false, lse = false;
  LossOptions options;
  DType dtype = DType::bf16;

  bool reduced() const { return options.reduction != Reduction::none; }
  std::vector<std::int64_t> loss_extents() const { return {reduced() ? 1 : rows}; }
};

Reduction reduction_of(const Shape& shape) {
  const std::string name = shape.text("reduction");
  if (name == "none") return Reduction::none;
  if (name == "mean") return Reduction::mean;
  if (name == "sum") return Reduction::sum;
  shape.refuse("reduction", "none, mean or sum");
}

/// Labels all over the classes, the same in every run.
ConstTensor labels_of(const LossShape& s, Tensors& t) {
  std::vector<float> labels;
  for (std::int64_t row = 0; row < s.rows; ++row)
    labels.push_back(static_cast<float>(row * 7919 % s.classes));
  return t.input("labels", DType::i64, {s.rows}, labels);
}

/// What the reference needs, and owns.
struct Truth {
  std::vector<float> logits, dloss;
  std::vector<std::int64_t> labels;
  reference::CrossEntropyInputs inputs;
  double count = 1;  ///< What a mean divides by.

  Truth(const LossShape& s, const Tensors& t) : logits(t.values("logits")), dloss(t.values("dloss")) {
    for (const float label : t.values("labels")) labels.push_back(static_cast<std::int64_t>(label));
    inputs = {.rows = s.rows, .classes = s.classes, .logits = logits, .labels = labels, .options = s.options};
    if (s.options.reduction == Reduction::mean)
      count = static_cast<double>(reference::counted_labels(inputs));
    if (dloss.empty()) dloss = {1};
    if (s.reduced() || dloss.size() == 1)
      dloss.assign(labels.size(), static_cast<float>(static_cast<double>(dloss[0]) / count));
  }
  double reduced(const std::vector<double>& losses) const {
    return std::accumulate(losses.begin(), losses.end(), 0.0) / count;
  }
};

Call make_forward(const LossShape& s, Tensors& t) {
  CrossEntropy args;
  args.logits = t.input("logits", s.dtype, {s.rows, s.classes});
  args.labels = labels_of(s, t);
  args.loss = t.output("loss", DType::f32, s.loss_extents());
  if (s.dlogits) args.dlogits = t.output("dlogits", args.logits.dtype, args.logits.extents);
  if (s.lse) args.lse = t.output("lse", DType::f32, {s.rows});
  args.options = s.options;
  return call(args, cross_entropy);
}

Call make_backward(const LossShape& s, Tensors& t) {
  CrossEntropyBackward args;
  args.logits = t.input("logits", s.dtype, {s.rows, s.classes});
  args.labels = labels_of(s, t);
  args.dloss = t.input("dloss", DType::f32, s.loss_extents(),
                       std::vector<float>(s.reduced() ? 1 : static_cast<std::size_t>(s.rows), 1.0f));
  // Without a file lse is about that of normal logits: right where it is checked, and as fast where it is
  // not.
  args.lse = t.input("lse", DType::f32, {s.rows}, [&] {
    const auto rows = static_cast<std::size_t>(s.rows);
    if (s.rows * s.classes > 1 << 22)
      return std::vector<float>(rows, std::log(static_cast<float>(s.classes)) + 0.5f);
    const Truth truth(s, t);
    const auto lse = reference::cross_entropy(truth.inputs, truth.dloss).lse;
    return std::vector<float>(lse.begin(), lse.end());
  }());
  args.dlogits = t.output("dlogits", args.logits.dtype, args.logits.extents);
  args.options = s.options;
  return call(args, cross_entropy_backward);
}

std::vector<Check> check(const LossShape& s, const Tensors& t) {
  const Truth given(s, t);
  const auto truth = reference::cross_entropy(given.inputs, given.dloss);
  const auto naive = reference::naive_cross_entropy(given.inputs, given.dloss, s.dtype);
  std::vector<Check> checks;
  if (t.has("loss") && s.reduced()) {
    const double total = given.reduced(truth.loss);  // as exact as f32 holds it, but for a few roundings
    checks.push_back({"loss", reference::compare(t.values("loss"), std::vector<double>{total},
                                                 1e-5 + 1e-6 * std::abs(total))});
  } else if (t.has("loss")) {
    checks.push_back({"loss", reference::compare(t.values("loss"), truth.loss, naive.loss)});
  }
  if (s.lse) checks.push_back({"lse", reference::compare(t.values("lse"), truth.lse, naive.lse)});
  if (t.has("dlogits"))
    checks.push_back(
        {"dlogits", reference::compare_gradient(t.values("dlogits"), truth.dlogits, naive.dlogits)});
  return checks;
}

LossShape loss_shape(const Shape& shape) {
  return {.rows = shape.integer("rows", 0),
          .classes = shape.extent("classes"),
          .options = {.ignore_index = shape.integer("ignore_index", std::numeric_limits<std::int64_t>::min()),
                      .label_smoothing = shape.real("label_smoothing"),
                      .logit_scale = shape.real("logit_scale"),
                      .softcap = shape.real("softcap"),
                      .lse_square_scale = shape.real("lse_square_scale"),
                      .reduction = reduction_of(shape)},
          .dtype = shape.dtype()};
}

std::string text_of(const LossShape& s) {
  return fmt::format("rows {}, classes {}{}{}, {}", s.rows, s.classes, s.dlogits ? ", dlogits" : "",
                     s.options.softcap != 0 ? ", softcap" : "", name_of(s.dtype));
}

Case parse_forward(const Shape& shape) {
  LossShape s = loss_shape(shape);
  s.dlogits = shape.flag("dlogits");
  s.lse = shape.flag("lse");
  return {.text = text_of(s),
          .dtype = s.dtype,
          .call = [s](Tensors& t) { return make_forward(s, t); },
          .check = [s](const Tensors& t) { return check(s, t); }};
}

Case parse_backward(const Shape& shape) {
  const LossShape s = loss_shape(shape);
  return {.text = text_of(s),
          .dtype = s.dtype,
          .call = [s](Tensors& t) { return make_backward(s, t); },
          .check = [s](const Tensors& t) { return check(s, t); }};
}

void read_logits(const Files& files, bool random, nlohmann::ordered_json& shape) {
  if (random) return;
  const HostTensor& logits = needed(files, "logits");
  require_rank("logits", logits, 2, "[rows, classes]");
  require_rank("labels", needed(files, "labels"), 1, "[rows]");
  shape["rows"] = logits.shape[0];
  shape["classes"] = logits.shape[1];
  shape["dtype"] = name_of(logits.dtype);
}

std::vector<std::string> cases(const char* more) {
  constexpr std::int64_t kElements = 1 << 29;
  std::vector<std::string> cases;
  for (const std::int64_t classes : {32000, 50257, 65536, 128256, 151936, 262144})
    cases.push_back(fmt::format("rows={},classes={}{}", kElements / classes / 8 * 8, classes, more));
  return cases;
}

Operator loss_operator(const char* name, const char* summary) {
  return {.name = name,
          .summary = summary,
          .keys = {{"rows", "", "Labels"},
                   {"classes", "", "The last dimension of logits"},
                   {"ignore_index", "-100", "The label that does not count"},
                   {"label_smoothing", "0", "0 to 1"},
                   {"logit_scale", "1", "Multiplies the logits"},
                   {"softcap", "0", "Caps them; 0: does not"},
                   {"lse_square_scale", "0", "Of the z-loss"},
                   {"reduction", "mean", "none, mean or sum"},
                   {"dtype", "bf16", "f32, f16 or bf16"}},
          .inputs = {{"logits", "The logits [rows, classes]"},
                     {"labels", "The labels [rows], i32 or i64", Input::Type::own}},
          .outputs = {},
          .random = {"rows", "classes"},
          .random_default = "4096x131072",
          .cases = {},
          .read_files = read_logits,
          .parse = {}};
}

}  // namespace

Operator cross_entropy_operator() {
  Operator op =
      loss_operator("cross_entropy", "Cross entropy of logits and labels, and its gradient in one pass");
  op.keys.push_back({"dlogits", "false", "Write the gradient too"});
  op.keys.push_back({"lse", "false", "Write the log-sum-exp of every row too"});
  op.outputs = {
      {"loss", "The loss"}, {"dlogits", "The gradient of the logits"}, {"lse", "Their log-sum-exp [rows]"}};
  op.cases = cases("");
  for (const std::string& gradient : cases(",dlogits=true")) op.cases.push_back(gradient);
  op.parse = parse_forward;
  return op;
}

Operator cross_entropy_backward_operator() {
  Operator op =
      loss_operator("cross_entropy_backward", "Gradient of cross entropy from logits and log-sum-exp");
  op.inputs.push_back({"lse", "Of the forward call [rows]", Input::Type::f32});
  op.inputs.push_back({"dloss", "The gradient of the loss", Input::Type::f32});
  op.outputs = {{"dlogits", "The gradient of the logits"}};
  op.cases = cases("");
  op.read_files = [](const Files& files, bool random, nlohmann::ordered_json& shape) {
    read_logits(files, random, shape);
    if (!random) needed(files, "lse");
  };
  op.parse = parse_backward;
  return op;
}

}  // namespace sprue::tools
