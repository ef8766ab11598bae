// The operator attention_backward of the command.
#include "reference/attention_backward.h"

#include <fmt/format.h>

#include "driver/stream.h"
#include "operators/attention_shape.h"

namespace sprue::tools {
namespace {

struct BackwardShape : AttentionShape {
  bool dbias = false, dslopes = false, dsinks = false, deterministic = false;
};

Call make_call(const BackwardShape& s, Tensors& t) {
  AttentionBackward args;
  args.forward = attention_call(s, t);
  args.dout = t.input("dout", s.dtype, out_extents(s));
  args.forward.out = t.scratch("out", args.forward.q.dtype, out_extents(s));
  args.forward.lse = t.scratch("lse", DType::f32, lse_extents(s));
  const auto like = [&](const char* name, const ConstTensor& tensor) {
    return t.output(name, tensor.dtype, tensor.extents);
  };
  args.dq = like("dq", args.forward.q);
  args.dk = like("dk", args.forward.k);
  args.dv = like("dv", args.forward.v);
  if (s.dbias) args.dbias = like("dbias", args.forward.bias);
  if (s.dslopes) args.dslopes = like("dslopes", args.forward.alibi_slopes);
  if (s.dsinks) args.dsinks = like("dsinks", args.forward.sinks);
  args.deterministic = s.deterministic;
  Call result = call(args, attention_backward);
  result.prepare = [args](Runtime& runtime) {  // the forward call writes what the backward one reads
    const KernelInfo info = prepare(runtime, args);
    attention(runtime, args.forward);
    driver::synchronize(nullptr);
    return info;
  };
  return result;
}

std::vector<Check> check(const BackwardShape& s, const Tensors& t) {
  const AttentionHost host(s, t);
  const std::int64_t width = s.heads * s.head_dim_v;
  const auto dout = host.queries("dout", width), out = host.queries("out", width);
  const reference::OutputGradients given{dout, out};
  const auto truth = reference::attention_backward(s, host.inputs(), given);
  const auto naive = reference::naive_attention_backward(s, host.inputs(), given, s.dtype);
  std::vector<Check> checks;
  const auto compare = [&](const char* name, const std::vector<float>& values, const auto& wanted,
                           const auto& first_attempt) {
    checks.push_back({name, reference::compare_gradient(values, wanted, first_attempt)});
  };
  compare("dq", host.queries("dq", s.heads * s.head_dim), truth.dq, naive.dq);
  compare("dk", host.keys("dk", s.kv_heads * s.head_dim), truth.dk, naive.dk);
  compare("dv", host.keys("dv", s.kv_heads * s.head_dim_v), truth.dv, naive.dv);
  if (s.dbias) compare("dbias", t.values("dbias"), truth.dbias, naive.dbias);
  if (s.dslopes) compare("dslopes", t.values("dslopes"), truth.dslopes, naive.dslopes);
  if (s.dsinks) compare("dsinks", t.values("dsinks"), truth.dsinks, naive.dsinks);
  return checks;
}

Case parse(const Shape& shape) {
  BackwardShape s;
  static_cast<AttentionShape&>(s) = parse_attention(shape);
  s.dbias = shape.flag("dbias");
  s.dslopes = shape.flag("dslopes");
  s.dsinks = shape.flag("dsinks");
  s.deterministic = shape.flag("deterministic");
  return {.text = describe(s) + (s.dbias ? ", dbias" : "") + (s.dslopes ? ", dslopes" : "") +
                  (s.dsinks ? ", dsinks" : "") + (s.deterministic ? ", deterministic" : ""),
          .dtype = s.dtype,
          .flops = 2 * s.visible_pairs() * static_cast<double>(3 * s.head_dim + 2 * s.head_dim_v),
          .call = [s](Tensors& t) { return make_call(s, t); },
          .check = [s](const Tensors& t) { return check(s, t); }};
}

std::vector<Key> keys() {
  std::vector<Key> keys = attention_keys();
  keys.push_back({"dbias", "false", "Write the gradient of the bias too"});
  keys.push_back({"dslopes", "false", "Write the gradient of the slopes too"});
  keys.push_back({"dsinks", "false", "Write the gradient of the sinks too"});
  keys.push_back({"deterministic", "false", "The same bits in every repetition"});
  return keys;
}

std::vector<Input> inputs() {
  std::vector<Input> inputs = attention_inputs();
  inputs.push_back({"dout", "The gradient of the output"});
  return inputs;
}

}  // namespace

Operator attention_backward_operator() {
  return {.name = "attention_backward",
          .summary = "Gradients of attention, whose forward call is made here",
          .keys = keys(),
          .inputs = inputs(),
          .outputs = {{"dq", "The gradient of the queries"},
                      {"dk", "The gradient of the keys"},
                      {"dv", "The gradient of the values"},
                      {"dbias", "The gradient of the bias"},
                      {"dslopes", "The gradient of the slopes"},
                      {"dsinks", "The gradient of the sinks"}},
          .random = {"batch", "seqlen", "heads", "head_dim"},
          .random_default = "2x1024x16x128",
          .cases = attention_cases(),
          .read_files =
              [](const Files& files, bool random, nlohmann::ordered_json& shape) {
                read_attention_files(files, random, shape);
                if (!random) needed(files, "dout");
              },
          .parse = parse};
}

}  // namespace sprue::tools
