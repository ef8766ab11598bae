// The operators rms_norm and layer_norm of the command.
#include "reference/norm.h"

#include <fmt/format.h>

#include <type_traits>

#include "operators/operator.h"
#include "sprue/ops.h"

namespace sprue::tools {
namespace {

struct NormShape {
  std::int64_t rows = 0, hidden = 0;
  bool weight = false, bias = false, residual = false, zero_centred_weight = false;
  float eps = 0;
  DType dtype = DType::bf16, weight_dtype = DType::bf16, residual_dtype = DType::bf16;
};

template <class Norm>
Call make_call(const NormShape& s, Tensors& t) {
  Norm args;
  args.x = t.input("x", s.dtype, {s.rows, s.hidden});
  if (s.weight) args.weight = t.input("weight", s.weight_dtype, {s.hidden});
  if (s.bias) args.bias = t.input("bias", s.weight_dtype, {s.hidden});
  if (s.residual) args.residual = t.input("residual", s.residual_dtype, {s.rows, s.hidden});
  args.eps = s.eps;
  args.zero_centred_weight = s.zero_centred_weight;
  args.y = t.output("out", args.x.dtype, args.x.extents);
  if (s.residual) args.residual_out = t.output("residual_out", args.residual.dtype, args.x.extents);
  void (*const op)(Runtime&, const Norm&, Stream) = [](Runtime& runtime, const Norm& a, Stream stream) {
    if constexpr (std::is_same_v<Norm, RmsNorm>) {
      rms_norm(runtime, a, stream);
    } else {
      layer_norm(runtime, a, stream);
    }
  };
  return call(args, op);
}

std::vector<Check> check(const NormShape& s, bool centred, const Tensors& t) {
  const auto x = t.values("x"), residual = t.values("residual"), weight = t.values("weight"),
             bias = t.values("bias");
  const reference::NormInputs in{
      s.rows, s.hidden, x, residual, weight, bias, s.eps, centred, s.zero_centred_weight};
  const DType residual_dtype = s.residual ? t.read("residual").dtype : s.dtype;
  const auto truth = reference::norm(in);
  const auto naive = reference::naive_norm(in, s.dtype, residual_dtype);
  std::vector<Check> checks = {{"output", reference::compare(t.values("out"), truth.y, naive.y)}};
  if (s.residual)
    checks.push_back({"residual_out", reference::compare(t.values("residual_out"), truth.z, naive.z)});
  return checks;
}

template <class Norm>
Case parse(const Shape& shape) {
  const NormShape s{.rows = shape.integer("rows", 0),
                    .hidden = shape.extent("hidden"),
                    .weight = shape.flag("weight"),
                    .bias = shape.flag("bias"),
                    .residual = shape.flag("residual"),
                    .zero_centred_weight = shape.flag("zero_centred_weight"),
                    .eps = shape.real("eps"),
                    .dtype = shape.dtype(),
                    .weight_dtype = shape.dtype("weight_dtype"),
                    .residual_dtype = shape.dtype("residual_dtype")};
  constexpr bool kCentred = std::is_same_v<Norm, LayerNorm>;
  return {
      .text = fmt::format("rows {}, hidden {}{}{}{}{}, {}", s.rows, s.hidden, s.weight ? "" : ", no weight",
                          s.zero_centred_weight ? ", zero-centred weight" : "", s.bias ? ", bias" : "",
                          s.residual ? ", residual" : "", name_of(s.dtype)),
      .dtype = s.dtype,
      .call = [s](Tensors& t) { return make_call<Norm>(s, t); },
      .check = [s](const Tensors& t) { return check(s, kCentred, t); }};
}

template <class Norm>
Operator norm_operator(const char* name, const char* summary, const char* eps) {
  return {.name = name,
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
                   {"dtype", "bf16", "f32, f16 or bf16"}},
          .inputs = {{"x", "The input [..., hidden]"},
                     {"weight", "The weight [hidden]; without it there is no scaling", Input::Type::own},
                     {"bias", "The bias [hidden]", Input::Type::own},
                     {"residual", "What is added to x first", Input::Type::own}},
          .outputs = {{"out", "The output"}, {"residual_out", "x + residual"}},
          .random = {"rows", "hidden"},
          .random_default = "4096x8192",
          .cases = row_cases(),
          .read_files = [](const Files& files, bool random,
                           nlohmann::ordered_json& shape) { read_rows("x", files, random, shape); },
          .parse = parse<Norm>};
}

}  // namespace

Operator rms_norm_operator() {
  return norm_operator<RmsNorm>("rms_norm", "RMS norm of rows, with residual and bias", "1e-6");
}

Operator layer_norm_operator() {
  return norm_operator<LayerNorm>("layer_norm", "Layer norm of rows, with residual and bias", "1e-5");
}

}  // namespace sprue::tools
