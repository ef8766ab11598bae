// The operators rms_norm_backward and layer_norm_backward of the command.
#include <fmt/format.h>

#include <type_traits>

#include "operators/norm_shape.h"
#include "sprue/error.h"
#include "sprue/ops.h"

namespace sprue::tools {
namespace {

struct NormShape {
  std::int64_t rows = 0, hidden = 0;
  bool weight = false, dweight = false, dbias = false, dresidual_out = false, dresidual = false;
  bool zero_centred_weight = false, x = false, dx1 = false, bias = false;
  float eps = 0;
  DType dtype = DType::bf16, weight_dtype = DType::bf16, residual_dtype = DType::bf16;
  NormFeatures features;

  /// The gradient of a gate behind the norm needs the bias.
  bool gates_bias() const { return bias && features.gate && !features.gate_first; }
};

template <class Norm>
Call make_call(const NormShape& s, Tensors& t) {
  Norm args;
  args.dy = t.input("dy", s.dtype, {s.rows, s.hidden});
  args.z = t.input("z", s.dtype, {s.rows, s.hidden});
  if (s.weight) args.weight = t.input("weight", s.weight_dtype, {s.hidden});
  if (s.dresidual_out) args.dresidual_out = t.input("dresidual_out", s.residual_dtype, {s.rows, s.hidden});
  if (s.features.weight1) {
    args.dy1 = t.input("dy1", s.dtype, {s.rows, s.hidden});
    args.weight1 = t.input("weight1", s.weight_dtype, {s.hidden});
  }
  if (s.gates_bias()) {
    args.bias = t.input("bias", s.weight_dtype, {s.hidden});
    if (s.features.weight1) args.bias1 = t.input("bias1", s.weight_dtype, {s.hidden});
  }
  if (s.x) args.x = t.input("x", s.dtype, {s.rows, s.hidden});
  s.features.add(args, t, s.rows, s.hidden);
  args.eps = s.eps;
  args.zero_centred_weight = s.zero_centred_weight;
  const DType sums = s.weight ? args.weight.dtype : s.weight_dtype;
  const DType residual = s.dresidual_out ? args.dresidual_out.dtype : s.residual_dtype;
  args.dx = t.output("dx", args.dy.dtype, args.dy.extents);
  if (s.dweight) args.dweight = t.output("dweight", sums, {s.hidden});
  if (s.dbias) args.dbias = t.output("dbias", sums, {s.hidden});
  if (s.dresidual) args.dresidual = t.output("dresidual", residual, args.dy.extents);
  if (s.features.weight1 && s.dweight) args.dweight1 = t.output("dweight1", sums, {s.hidden});
  if (s.features.weight1 && s.dbias) args.dbias1 = t.output("dbias1", sums, {s.hidden});
  if (s.x) args.dcolumn_scale = t.output("dcolumn_scale", args.column_scale.dtype, {s.hidden});
  if (s.dx1) args.dx1 = t.output("dx1", args.dy.dtype, args.dy.extents);
  if (s.features.gate) args.dgate = t.output("dgate", args.dy.dtype, args.dy.extents);
  void (*const op)(Runtime&, const Norm&, Stream) = [](Runtime& runtime, const Norm& a, Stream stream) {
    if constexpr (std::is_same_v<Norm, RmsNormBackward>) {
      rms_norm_backward(runtime, a, stream);
    } else {
      layer_norm_backward(runtime, a, stream);
    }
  };
  return call(args, op);
}

std::vector<Check> check(const NormShape& s, bool centred, const Tensors& t) {
  NormHost host(s.features, t, "z", s.rows, s.hidden);
  reference::NormInputs& in = host.inputs;
  in.eps = s.eps;
  in.centred = centred;
  in.zero_centred_weight = s.zero_centred_weight;
  const auto dy = t.values("dy"), dresidual_out = t.values("dresidual_out"), dy1 = t.values("dy1"),
             x = t.values("x");
  const reference::NormUpstream upstream{.dy = dy, .dresidual_out = dresidual_out, .dy1 = dy1, .x = x};
  const auto truth = reference::norm_backward(in, upstream);
  const auto naive = reference::naive_norm_backward(in, upstream, s.dtype);
  std::vector<Check> checks;
  const auto compare = [&](const char* output, const auto& wanted, const auto& first_attempt) {
    if (t.has(output))
      checks.push_back({output, reference::compare_gradient(t.values(output), wanted, first_attempt)});
  };
  compare("dx", truth.dx, naive.dx);
  compare("dresidual", truth.dz, naive.dz);
  compare("dweight", truth.dweight, naive.dweight);
  compare("dbias", truth.dbias, naive.dbias);
  compare("dx1", truth.dx1, naive.dx1);
  compare("dgate", truth.dgate, naive.dgate);
  compare("dweight1", truth.dweight1, naive.dweight1);
  compare("dbias1", truth.dbias1, naive.dbias1);
  compare("dcolumn_scale", truth.dcolumn_scale, naive.dcolumn_scale);
  return checks;
}

template <class Norm>
Case parse(const Shape& shape) {
  NormShape s{.rows = shape.integer("rows", 0),
              .hidden = shape.extent("hidden"),
              .weight = shape.flag("weight"),
              .dweight = shape.flag("dweight"),
              .dbias = shape.flag("dbias"),
              .dresidual_out = shape.flag("dresidual_out"),
              .dresidual = shape.flag("dresidual"),
              .zero_centred_weight = shape.flag("zero_centred_weight"),
              .x = shape.flag("x"),
              .dx1 = shape.flag("dx1"),
              .bias = shape.flag("bias"),
              .eps = shape.real("eps"),
              .dtype = shape.dtype(),
              .weight_dtype = shape.dtype("weight_dtype"),
              .residual_dtype = shape.dtype("residual_dtype"),
              .features = NormFeatures(shape)};
  if (!s.weight && s.dweight) {
    if (shape.has("dweight")) throw ArgumentError("dweight needs a weight, but weight is false");
    s.dweight = false;
  }
  constexpr bool kCentred = std::is_same_v<Norm, LayerNormBackward>;
  return {.text = fmt::format("rows {}, hidden {}{}{}{}{}{}{}{}{}, {}", s.rows, s.hidden,
                              s.weight ? "" : ", no weight", s.dweight == s.weight ? "" : ", no dweight",
                              s.zero_centred_weight ? ", zero-centred weight" : "", s.dbias ? ", dbias" : "",
                              s.dresidual_out ? ", dresidual_out" : "", s.dresidual ? ", dresidual" : "",
                              s.dx1 ? ", dx1" : "", s.features.print(), name_of(s.dtype)),
          .dtype = s.dtype,
          .call = [s](Tensors& t) { return make_call<Norm>(s, t); },
          .check = [s](const Tensors& t) { return check(s, kCentred, t); }};
}

template <class Norm>
Operator norm_operator(const char* name, const char* summary, const char* eps) {
  Operator op = {.name = name,
                 .summary = summary,
                 .keys = {{"rows", "", "All dimensions of dy but the last"},
                          {"hidden", "", "The last dimension of dy"},
                          {"weight", "true", "The forward call scaled by a weight"},
                          {"dweight", "true", "Write the gradient of the weight, where there is one"},
                          {"dbias", "false", "Write the gradient of the bias"},
                          {"dresidual_out", "false", "Add the gradient of residual_out"},
                          {"dresidual", "false", "Write dx in the residual's dtype too"},
                          {"zero_centred_weight", "false", "1 + weight takes the place of weight"},
                          {"eps", eps, "Added to the mean square"},
                          {"weight_dtype", "dtype", "f32, f16 or bf16; of dweight and dbias too"},
                          {"residual_dtype", "dtype", "f32 or that of dy"},
                          {"dtype", "bf16", "f32, f16 or bf16"},
                          {"bias", "false", "A gate after the norm multiplied a bias, too"},
                          {"weight1", "false", "There was a second output"},
                          {"dx1", "false", "Write the gradient of x1"},
                          {"x", "false", "Write the gradient of column_scale, which needs x"}},
                 .inputs = {{"dy", "The gradient of the output [..., hidden]"},
                            {"z", "What was normalised [..., hidden]"},
                            {"weight", "The weight [hidden] of the forward call", Input::Type::own},
                            {"dresidual_out", "The gradient of residual_out", Input::Type::own},
                            {"bias", "The bias [hidden] of the forward call", Input::Type::own},
                            {"dy1", "The gradient of the second output"},
                            {"weight1", "The weight [hidden] of the second output", Input::Type::own},
                            {"bias1", "The bias [hidden] of the second output", Input::Type::own},
                            {"x", "The input of the forward call"}},
                 .outputs = {{"dx", "The gradient of x"},
                             {"dweight", "The gradient of the weight"},
                             {"dbias", "The gradient of the bias"},
                             {"dresidual", "The gradient of the residual"},
                             {"dx1", "The gradient of x1"},
                             {"dgate", "The gradient of the gate"},
                             {"dweight1", "The gradient of the second weight"},
                             {"dbias1", "The gradient of the second bias"},
                             {"dcolumn_scale", "The gradient of column_scale"}},
                 .random = {"rows", "hidden"},
                 .random_default = "4096x8192",
                 .cases = row_cases(),
                 .read_files =
                     [](const Files& files, bool random, nlohmann::ordered_json& shape) {
                       read_rows("dy", files, random, shape);
                       if (random) return;
                       needed(files, "z");
                       if (files.contains("weight1")) needed(files, "dy1");
                       if (files.contains("weight1") && files.contains("bias")) needed(files, "bias1");
                     },
                 .parse = parse<Norm>};
  for (const Key& key : norm_feature_keys()) op.keys.push_back(key);
  for (const Input& input : norm_feature_inputs()) op.inputs.push_back(input);
  return op;
}

}  // namespace

Operator rms_norm_backward_operator() {
  return norm_operator<RmsNormBackward>("rms_norm_backward", "Gradients of RMS norm", "1e-6");
}

Operator layer_norm_backward_operator() {
  return norm_operator<LayerNormBackward>("layer_norm_backward", "Gradients of layer norm", "1e-5");
}

}  // namespace sprue::tools
