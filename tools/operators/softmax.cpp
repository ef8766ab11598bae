// The operators softmax and softmax_backward of the command.
#include "reference/softmax.h"

#include <fmt/format.h>

#include "operators/operator.h"
#include "reference/random.h"
#include "sprue/ops.h"

namespace sprue::tools {
namespace {

struct SoftmaxShape {
  std::int64_t batch = 1, queries = 0, columns = 0;
  bool mask = false, causal = false;
  float scale = 1;
  DType dtype = DType::bf16;

  std::vector<std::int64_t> extents() const { return {batch, queries, columns}; }
};

SoftmaxShape shape_of(const Shape& shape, bool takes_mask) {
  return {.batch = shape.integer("batch", 0),
          .queries = shape.integer("queries", 0),
          .columns = shape.extent("columns"),
          .mask = takes_mask && shape.flag("mask"),
          .causal = shape.flag("causal"),
          .scale = shape.real("scale"),
          .dtype = shape.dtype()};
}

std::string text_of(const SoftmaxShape& s) {
  return fmt::format("batch {}, queries {}, columns {}{}{}, {}", s.batch, s.queries, s.columns,
                     s.mask ? ", mask" : "", s.causal ? ", causal" : "", name_of(s.dtype));
}

/// Hides three columns of ten.
std::vector<float> random_mask(const SoftmaxShape& s) {
  std::vector<float> mask = reference::random_normal(s.queries * s.columns, 3, DType::f32);
  for (float& value : mask) value = value > 0.52f ? 1.0f : 0.0f;
  return mask;
}

Call make_forward(const SoftmaxShape& s, Tensors& t) {
  Softmax args;
  args.x = t.input("x", s.dtype, s.extents());
  if (s.mask) args.mask = t.input("mask", DType::u8, {1, s.queries, s.columns}, random_mask(s));
  args.scale = s.scale;
  args.causal = s.causal;
  args.y = t.output("out", s.dtype, args.x.extents);
  return call(args, softmax);
}

std::vector<Check> check_forward(const SoftmaxShape& s, const Tensors& t) {
  const auto x = t.values("x"), mask = t.values("mask");
  const reference::SoftmaxInputs in{s.batch, s.queries, s.columns, x, mask, s.scale, s.causal};
  return {{"output", reference::compare(t.values("out"), reference::softmax(in),
                                        reference::naive_softmax(in, s.dtype))}};
}

/// What softmax makes of random scores: 0 in columns that are not seen.
std::vector<float> causal_result(const SoftmaxShape& s) {
  const auto x = reference::random_normal(s.batch * s.queries * s.columns, 1, DType::f32);
  const auto y = reference::softmax({.batch = s.batch,
                                     .queries = s.queries,
                                     .columns = s.columns,
                                     .x = x,
                                     .scale = s.scale,
                                     .causal = true});
  return {y.begin(), y.end()};
}

Call make_backward(const SoftmaxShape& s, Tensors& t) {
  SoftmaxBackward args;
  args.dy = t.input("dy", s.dtype, s.extents());
  args.y =
      s.causal ? t.input("y", s.dtype, s.extents(), causal_result(s)) : t.input("y", s.dtype, s.extents());
  args.scale = s.scale;
  args.causal = s.causal;
  args.dx = t.output("dx", s.dtype, args.y.extents);
  return call(args, softmax_backward);
}

std::vector<Check> check_backward(const SoftmaxShape& s, const Tensors& t) {
  const auto y = t.values("y"), dy = t.values("dy");
  return {{"dx", reference::compare_gradient(
                     t.values("dx"), reference::softmax_backward(y, dy, s.columns, s.scale),
                     reference::naive_softmax_backward(y, dy, s.columns, s.scale, s.dtype))}};
}

template <class Make, class CheckOf>
std::function<Case(const Shape&)> parse_with(bool takes_mask, Make make, CheckOf check) {
  return [=](const Shape& shape) {
    const SoftmaxShape s = shape_of(shape, takes_mask);
    return Case{.text = text_of(s),
                .dtype = s.dtype,
                .call = [=](Tensors& t) { return make(s, t); },
                .check = [=](const Tensors& t) { return check(s, t); }};
  };
}

void read_scores(const char* name, const Files& files, bool random, nlohmann::ordered_json& shape) {
  if (random) return;
  const HostTensor& scores = needed(files, name);
  require_rank(name, scores, 3, "[batch, queries, columns]");
  shape["batch"] = scores.shape[0];
  shape["queries"] = scores.shape[1];
  shape["columns"] = scores.shape[2];
  shape["dtype"] = name_of(scores.dtype);
}

Operator softmax_like(const char* name, const char* summary, const char* input) {
  std::vector<std::string> cases;
  for (std::int64_t columns = 512; columns <= 262144; columns *= 2)
    cases.push_back(fmt::format("queries={},columns={}", (std::int64_t{1} << 27) / columns, columns));
  return {.name = name,
          .summary = summary,
          .keys = {{"batch", "1", "The first dimension"},
                   {"queries", "", "The second dimension"},
                   {"columns", "", "The last dimension"},
                   {"causal", "false",
                    "A query sees the columns up to its own place, counted from the last ones"},
                   {"scale", "1", "Multiplies the scores"},
                   {"dtype", "bf16", "f32, f16 or bf16"}},
          .inputs = {},
          .outputs = {},
          .random = {"batch", "queries", "columns"},
          .random_default = "16x1024x4096",
          .cases = cases,
          .read_files = [input](const Files& files, bool random,
                                nlohmann::ordered_json& shape) { read_scores(input, files, random, shape); },
          .parse = {}};
}

}  // namespace

Operator softmax_operator() {
  Operator op = softmax_like("softmax", "Softmax of rows, scaled, with a mask, causal", "x");
  op.keys.push_back({"mask", "false", "Hide columns, the same ones in every batch"});
  op.inputs = {{"x", "The scores [batch, queries, columns]"},
               {"mask", "u8 [1, queries, columns]; not 0: hidden", Input::Type::own}};
  op.outputs = {{"out", "The output"}};
  op.parse = parse_with(true, make_forward, check_forward);
  return op;
}

Operator softmax_backward_operator() {
  Operator op = softmax_like("softmax_backward", "Gradient of softmax from its result", "y");
  op.inputs = {{"dy", "The gradient of the result [batch, queries, columns]"}, {"y", "The result"}};
  op.outputs = {{"dx", "The gradient of the scores"}};
  op.parse = parse_with(false, make_backward, check_backward);
  return op;
}

}  // namespace sprue::tools
