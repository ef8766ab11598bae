// The operators rms_norm and layer_norm of the command.
#include "reference/norm.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "operators/norm_shape.h"

namespace sprue::tools {
namespace {

struct NormShape {
  explicit NormShape(const Shape& shape);

  std::int64_t rows, hidden;
  bool weight, bias, bias1, residual, zero_centred_weight, x1, dropout_mask, y_scale;
  float eps;
  DType dtype, weight_dtype, residual_dtype, y_dtype;
  NormFeatures features;

  bool quantised() const { return y_dtype != dtype; }
  bool writes_z() const { return residual || x1 || features.change_x(); }
};

/// e4m3 and i8 are dtypes of outputs alone.
DType output_dtype(const Shape& shape) {
  const std::string text = shape.text("y_dtype");
  for (const DType dtype : {DType::e4m3, DType::i8}) {
    if (text == name_of(dtype)) return dtype;
  }
  if (text != name_of(shape.dtype())) shape.refuse("y_dtype", "that of x, e4m3 or i8");
  return shape.dtype();
}

NormShape::NormShape(const Shape& shape)
    : rows(shape.integer("rows", 0)),
      hidden(shape.extent("hidden")),
      weight(shape.flag("weight")),
      bias(shape.flag("bias")),
      bias1(shape.flag("bias1")),
      residual(shape.flag("residual")),
      zero_centred_weight(shape.flag("zero_centred_weight")),
      x1(shape.flag("x1")),
      dropout_mask(shape.flag("dropout_mask")),
      y_scale(shape.flag("y_scale")),
      eps(shape.real("eps")),
      dtype(shape.dtype()),
      weight_dtype(shape.dtype("weight_dtype")),
      residual_dtype(shape.dtype("residual_dtype")),
      y_dtype(output_dtype(shape)),
      features(shape) {}

template <class Norm>
Call make_call(const NormShape& s, Tensors& t) {
  Norm args;
  const std::vector<std::int64_t> shape = {s.rows, s.hidden};
  args.x = t.input("x", s.dtype, shape);
  if (s.weight) args.weight = t.input("weight", s.weight_dtype, {s.hidden});
  if (s.bias) args.bias = t.input("bias", s.weight_dtype, {s.hidden});
  if (s.features.weight1) args.weight1 = t.input("weight1", s.weight_dtype, {s.hidden});
  if (s.bias1) args.bias1 = t.input("bias1", s.weight_dtype, {s.hidden});
  if (s.residual) args.residual = t.input("residual", s.residual_dtype, shape);
  if (s.x1) args.x1 = t.input("x1", s.dtype, shape);
  s.features.add(args, t, s.rows, s.hidden);
  args.eps = s.eps;
  args.zero_centred_weight = s.zero_centred_weight;
  args.y = t.output("out", s.quantised() ? s.y_dtype : args.x.dtype, args.x.extents);
  if (s.features.weight1) args.y1 = t.output("out1", args.y.dtype, args.x.extents);
  if (s.writes_z()) {
    args.residual_out =
        t.output("residual_out", s.residual ? args.residual.dtype : s.residual_dtype, args.x.extents);
  }
  if (s.dropout_mask) args.dropout_mask = t.output("dropout_mask", DType::u8, shape);
  if (s.dropout_mask && s.x1) args.dropout_mask1 = t.output("dropout_mask1", DType::u8, shape);
  if (s.y_scale) {
    args.y_scale = t.input("y_scale", DType::f32, {1}, std::vector<float>{0.01f});
    if (s.features.weight1) args.y1_scale = args.y_scale;
  } else if (s.quantised()) {
    args.y_row_scale = t.output("y_row_scale", DType::f32, {s.rows});
    if (s.features.weight1) args.y1_row_scale = t.output("y1_row_scale", DType::f32, {s.rows});
  }
  void (*const op)(Runtime&, const Norm&, Stream) = [](Runtime& runtime, const Norm& a, Stream stream) {
    if constexpr (std::is_same_v<Norm, RmsNorm>) {
      rms_norm(runtime, a, stream);
    } else {
      layer_norm(runtime, a, stream);
    }
  };
  return call(args, op);
}

/// An output of 8 bits times its scale; half a step of its type may lie between it and the truth.
Check check_quantised(const NormShape& s, const Tensors& t, const char* output, const char* row_scale,
                      const std::vector<double>& truth, const std::vector<float>& naive) {
  std::vector<float> y = t.values(output);
  const std::vector<float> scales = t.values(s.y_scale ? "y_scale" : row_scale);
  const double most = s.y_dtype == DType::e4m3 ? 448 : 127;
  std::vector<double> wanted = truth;
  double largest = 0, scale = 0, error = 1e-5;
  for (std::size_t i = 0; i < y.size(); ++i) {
    const float step = s.y_scale ? scales[0] : scales[i / static_cast<std::size_t>(s.hidden)];
    y[i] *= step;
    if (s.y_scale) wanted[i] = std::clamp(truth[i], -most * step, most * step);
    scale = std::max(scale, static_cast<double>(step));
    largest = std::max(largest, std::abs(wanted[i]));
    error = std::max(error, 2 * std::abs(naive[i] - truth[i]));
  }
  const double half_step = s.y_dtype == DType::e4m3 ? largest / 16 : s.y_scale ? scale : scale / 2;
  return {output, reference::compare(y, wanted, 1.001 * half_step + error)};
}

std::vector<Check> check(const NormShape& s, bool centred, const Tensors& t) {
  NormHost host(s.features, t, "x", s.rows, s.hidden);
  reference::NormInputs& in = host.inputs;
  in.eps = s.eps;
  in.centred = centred;
  in.zero_centred_weight = s.zero_centred_weight;
  const auto truth = reference::norm(in);
  const auto naive =
      reference::naive_norm(in, s.dtype, s.writes_z() ? t.read("residual_out").dtype : s.dtype);
  std::vector<Check> checks;
  const auto add_output = [&](const char* title, const char* output, const char* row_scale,
                              const std::vector<double>& wanted, const std::vector<float>& attempt) {
    checks.push_back(s.quantised() ? check_quantised(s, t, output, row_scale, wanted, attempt)
                                   : Check{title, reference::compare(t.values(output), wanted, attempt)});
  };
  add_output("output", "out", "y_row_scale", truth.y, naive.y);
  if (s.features.weight1) add_output("output 1", "out1", "y1_row_scale", truth.y1, naive.y1);
  if (s.writes_z())
    checks.push_back({"residual_out", reference::compare(t.values("residual_out"), truth.z, naive.z)});
  const auto add_mask = [&](const char* name, std::span<const float> mask) {
    if (t.has(name))
      checks.push_back(
          {name, reference::compare(t.values(name), std::vector<double>(mask.begin(), mask.end()), 0)});
  };
  add_mask("dropout_mask", in.mask);
  add_mask("dropout_mask1", in.mask1);
  return checks;
}

template <class Norm>
Case parse(const Shape& shape) {
  const NormShape s(shape);
  constexpr bool kCentred = std::is_same_v<Norm, LayerNorm>;
  return {.text = fmt::format(
              "rows {}, hidden {}{}{}{}{}{}{}{}, {}", s.rows, s.hidden, s.weight ? "" : ", no weight",
              s.zero_centred_weight ? ", zero-centred weight" : "", s.bias ? ", bias" : "",
              s.residual ? ", residual" : "", s.x1 ? ", x1" : "", s.features.print(),
              s.quantised() ? fmt::format(", to {}", name_of(s.y_dtype)) : "", name_of(s.dtype)),
          .dtype = s.dtype,
          .call = [s](Tensors& t) { return make_call<Norm>(s, t); },
          .check = [s](const Tensors& t) { return check(s, kCentred, t); }};
}

template <class Norm>
Operator norm_operator(const char* name, const char* summary, const char* eps) {
  Operator op = {
      .name = name,
      .summary = summary,
      .keys = {{"rows", "", "All dimensions of x but the last"},
               {"hidden", "", "The last dimension of x"},
               {"weight", "true", "Scale by a weight"},
               {"bias", "false", "Add a bias"},
               {"residual", "false", "Add a residual to x, and write the sum too"},
               {"zero_centred_weight", "false", "1 + weight takes the place of weight"},
               {"eps", eps, "Added to the mean square"},
               {"weight_dtype", "dtype", "f32, f16 or bf16; of the bias too"},
               {"residual_dtype", "dtype", "f32 or that of x"},
               {"dtype", "bf16", "f32, f16 or bf16"},
               {"x1", "false", "Add a second input to x"},
               {"weight1", "false", "Write a second output, scaled by a weight of its own"},
               {"bias1", "false", "Add a bias to the second output"},
               {"dropout_mask", "false", "Write which elements dropout keeps"},
               {"y_dtype", "dtype", "Of the output: that of x, or e4m3 or i8, with a scale for each row"},
               {"y_scale", "false", "One scale of a quantised output instead"}},
      .inputs = {{"x", "The input [..., hidden]"},
                 {"weight", "The weight [hidden]; without it there is no scaling", Input::Type::own},
                 {"bias", "The bias [hidden]", Input::Type::own},
                 {"residual", "What is added to x first", Input::Type::own},
                 {"x1", "The second input, of the shape of x"},
                 {"weight1", "The weight [hidden] of the second output", Input::Type::own},
                 {"bias1", "The bias [hidden] of the second output", Input::Type::own},
                 {"y_scale", "The scale [1] of a quantised output", Input::Type::f32}},
      .outputs = {{"out", "The output"},
                  {"residual_out", "What is normalised, where that is not x"},
                  {"out1", "The second output"},
                  {"dropout_mask", "Which elements of x dropout keeps"},
                  {"dropout_mask1", "Which elements of x1 dropout keeps"},
                  {"y_row_scale", "The scales [rows] of a quantised output"},
                  {"y1_row_scale", "The scales [rows] of a quantised second output"}},
      .random = {"rows", "hidden"},
      .random_default = "4096x8192",
      .cases = row_cases(),
      .read_files = [](const Files& files, bool random,
                       nlohmann::ordered_json& shape) { read_rows("x", files, random, shape); },
      .parse = parse<Norm>};
  for (const Key& key : norm_feature_keys()) op.keys.push_back(key);
  for (const Input& input : norm_feature_inputs()) op.inputs.push_back(input);
  return op;
}

}  // namespace

Operator rms_norm_operator() {
  return norm_operator<RmsNorm>("rms_norm", "RMS norm of rows, with sums, dropout, gates, quantised outputs",
                                "1e-6");
}

Operator layer_norm_operator() {
  return norm_operator<LayerNorm>("layer_norm",
                                  "Layer norm of rows, with sums, dropout, gates, quantised outputs", "1e-5");
}

}  // namespace sprue::tools
