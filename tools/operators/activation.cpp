// The operators activation and activation_backward of the command.
#include "reference/activation.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "operators/operator.h"
#include "sprue/ops.h"

namespace sprue::tools {
namespace {

constexpr const char* kNames[] = {"identity", "relu", "squared_relu", "leaky_relu",
                                  "sigmoid",  "silu", "gelu",         "gelu_tanh"};

struct ActivationShape {
  std::int64_t rows = 0, hidden = 0;
  ActivationFunction function = ActivationFunction::silu;
  bool gate = false, bias = false, dbias = false;
  float negative_slope = 0;
  DType dtype = DType::bf16;
};

ActivationFunction function_of(const Shape& shape) {
  const std::string name = shape.text("function");
  for (std::size_t i = 0; i < std::size(kNames); ++i) {
    if (name == kNames[i]) return static_cast<ActivationFunction>(i);
  }
  shape.refuse("function", fmt::format("one of {}", fmt::join(kNames, ", ")));
}

reference::ActivationInputs inputs_of(const ActivationShape& s,
                                      const std::vector<std::vector<float>>& values) {
  return {.columns = s.hidden,
          .x = values[0],
          .gate = values[1],
          .bias = values[2],
          .gate_bias = values[3],
          .function = s.function,
          .negative_slope = s.negative_slope};
}
std::vector<std::vector<float>> values_of(const Tensors& t) {
  return {t.values("x"), t.values("gate"), t.values("bias"), t.values("gate_bias")};
}

template <class Args>
void add_inputs(const ActivationShape& s, Tensors& t, Args& args) {
  args.x = t.input("x", s.dtype, {s.rows, s.hidden});
  if (s.gate) args.gate = t.input("gate", s.dtype, {s.rows, s.hidden});
  if (s.bias) args.bias = t.input("bias", s.dtype, {s.hidden});
  if (s.bias && s.gate) args.gate_bias = t.input("gate_bias", s.dtype, {s.hidden});
  args.function = s.function;
  args.negative_slope = s.negative_slope;
}

Call make_forward(const ActivationShape& s, Tensors& t) {
  Activation args;
  add_inputs(s, t, args);
  args.y = t.output("out", s.dtype, args.x.extents);
  return call(args, activation);
}

std::vector<Check> check_forward(const ActivationShape& s, const Tensors& t) {
  const auto values = values_of(t);
  const auto in = inputs_of(s, values);
  return {{"output", reference::compare(t.values("out"), reference::activation(in),
                                        reference::naive_activation(in, s.dtype))}};
}

Call make_backward(const ActivationShape& s, Tensors& t) {
  ActivationBackward args;
  args.dy = t.input("dy", s.dtype, {s.rows, s.hidden});
  add_inputs(s, t, args);
  args.dx = t.output("dx", s.dtype, args.dy.extents);
  if (s.gate) args.dgate = t.output("dgate", s.dtype, args.dy.extents);
  if (s.dbias) args.dbias = t.output("dbias", s.dtype, {s.hidden});
  if (s.dbias && s.gate) args.dgate_bias = t.output("dgate_bias", s.dtype, {s.hidden});
  return call(args, activation_backward);
}

std::vector<Check> check_backward(const ActivationShape& s, const Tensors& t) {
  const auto values = values_of(t);
  const auto dy = t.values("dy");
  const auto in = inputs_of(s, values);
  const auto truth = reference::activation_backward(in, dy);
  const auto naive = reference::naive_activation_backward(in, dy, s.dtype);
  std::vector<Check> checks = {{"dx", reference::compare_gradient(t.values("dx"), truth.dx, naive.dx)}};
  const auto add = [&](bool wanted, const char* name, const std::vector<double>& exact,
                       const std::vector<float>& first) {
    if (wanted) checks.push_back({name, reference::compare_gradient(t.values(name), exact, first)});
  };
  add(s.gate, "dgate", truth.dgate, naive.dgate);
  add(s.dbias, "dbias", truth.dbias, naive.dbias);
  add(s.dbias && s.gate, "dgate_bias", truth.dgate_bias, naive.dgate_bias);
  return checks;
}

template <class Make, class CheckOf>
std::function<Case(const Shape&)> parse_with(bool is_backward, Make make, CheckOf check) {
  return [=](const Shape& shape) {
    const ActivationShape s{.rows = shape.integer("rows", 0),
                            .hidden = shape.extent("hidden"),
                            .function = function_of(shape),
                            .gate = shape.flag("gate"),
                            .bias = shape.flag("bias"),
                            .dbias = is_backward && shape.flag("dbias"),
                            .negative_slope = shape.real("negative_slope"),
                            .dtype = shape.dtype()};
    return Case{.text = fmt::format("rows {}, hidden {}, {}{}{}{}, {}", s.rows, s.hidden,
                                    kNames[static_cast<std::size_t>(s.function)], s.gate ? ", gate" : "",
                                    s.bias ? ", bias" : "", s.dbias ? ", dbias" : "", name_of(s.dtype)),
                .dtype = s.dtype,
                .call = [=](Tensors& t) { return make(s, t); },
                .check = [=](const Tensors& t) { return check(s, t); }};
  };
}

Operator activation_like(const char* name, const char* summary) {
  std::vector<std::string> cases = row_cases();
  for (const std::string& gated : row_cases()) cases.push_back(gated + ",gate=true");
  return {.name = name,
          .summary = summary,
          .keys = {{"rows", "", "All dimensions of x but the last"},
                   {"hidden", "", "The last dimension of x"},
                   {"function", "silu",
                    "identity, relu, squared_relu, leaky_relu, sigmoid, silu, gelu or gelu_tanh"},
                   {"gate", "false", "The function is that of a gate, which multiplies x"},
                   {"bias", "false", "Add biases first"},
                   {"negative_slope", "0.01", "Of leaky_relu"},
                   {"dtype", "bf16", "f32, f16 or bf16"}},
          .inputs = {{"x", "The input [..., hidden]"},
                     {"gate", "The gate, like x"},
                     {"bias", "The bias [hidden]"},
                     {"gate_bias", "That of the gate"}},
          .outputs = {},
          .random = {"rows", "hidden"},
          .random_default = "4096x8192",
          .cases = cases,
          .read_files = [](const Files& files, bool random,
                           nlohmann::ordered_json& shape) { read_rows("x", files, random, shape); },
          .parse = {}};
}

}  // namespace

Operator activation_operator() {
  Operator op = activation_like("activation", "Activation functions, alone and as gates, with biases");
  op.outputs = {{"out", "The output"}};
  op.parse = parse_with(false, make_forward, check_forward);
  return op;
}

Operator activation_backward_operator() {
  Operator op = activation_like("activation_backward", "Gradients of activation functions");
  op.keys.push_back({"dbias", "false", "Write the gradients of biases too"});
  op.inputs.insert(op.inputs.begin(), {"dy", "The gradient of the output [..., hidden]"});
  op.outputs = {{"dx", "The gradient of x"},
                {"dgate", "That of the gate"},
                {"dbias", "That of the bias"},
                {"dgate_bias", "That of the gate's bias"}};
  op.parse = parse_with(true, make_backward, check_backward);
  return op;
}

}  // namespace sprue::tools
