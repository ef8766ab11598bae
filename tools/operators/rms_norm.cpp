// The operator rms_norm of the command.
#include "reference/rms_norm.h"

#include <fmt/format.h>

#include "operators/operator.h"
#include "sprue/ops.h"

namespace sprue::tools {
namespace {

struct RmsNormShape {
  std::int64_t rows = 0, hidden = 0;
  bool weight = false;
  float eps = 0;
  DType dtype = DType::bf16;
};

Call make_call(const RmsNormShape& s, Tensors& t) {
  const ConstTensor x = t.input("x", s.dtype, {s.rows, s.hidden});
  RmsNorm args{.y = t.output("out", s.dtype, x.extents), .x = x, .eps = s.eps};
  if (s.weight) args.weight = t.input("weight", s.dtype, {s.hidden});
  return call(args, rms_norm);
}

std::vector<Check> check(const RmsNormShape& s, const Tensors& t) {
  const auto x = t.values("x"), weight = t.values("weight");
  const reference::RmsNormInputs in{s.rows, s.hidden, x, weight, s.eps};
  return {{"output", reference::compare(t.values("out"), reference::rms_norm(in),
                                        reference::naive_rms_norm(in, s.dtype))}};
}

Case parse(const Shape& shape) {
  const RmsNormShape s{.rows = shape.integer("rows", 0),
                       .hidden = shape.extent("hidden"),
                       .weight = shape.flag("weight"),
                       .eps = shape.real("eps"),
                       .dtype = shape.dtype()};
  return {.text = fmt::format("rows {}, hidden {}{}, {}", s.rows, s.hidden, s.weight ? "" : ", no weight",
                              name_of(s.dtype)),
          .dtype = s.dtype,
          .call = [s](Tensors& t) { return make_call(s, t); },
          .check = [s](const Tensors& t) { return check(s, t); }};
}

}  // namespace

Operator rms_norm_operator() {
  return {.name = "rms_norm",
          .summary = "RMS norm: x is [..., hidden], weight [hidden]",
          .keys = {{"rows", "", "All dimensions of x but the last"},
                   {"hidden", "", "The last dimension of x"},
                   {"weight", "true", "Scale by a weight"},
                   {"eps", "1e-6", "Added to the mean square"},
                   {"dtype", "bf16", "f32, f16 or bf16"}},
          .inputs = {{"x", "The input"}, {"weight", "The weight; without it there is no scaling"}},
          .outputs = {{"out", "The output"}},
          .random = {"rows", "hidden"},
          .random_default = "4096x8192",
          .cases = row_cases(),
          .read_files = [](const Files& files, bool random,
                           nlohmann::ordered_json& shape) { read_rows("x", files, random, shape); },
          .parse = parse};
}

}  // namespace sprue::tools
