// The operator attention of the command.
#include "reference/attention.h"

#include <fmt/format.h>

#include <cmath>

#include "operators/attention_shape.h"

namespace sprue::tools {
namespace {

Call make_call(const AttentionShape& s, Tensors& t) {
  Attention args = attention_call(s, t);
  args.out = t.output("out", args.q.dtype, out_extents(s));
  if (s.lse) args.lse = t.output("lse", DType::f32, lse_extents(s));
  return call(args, attention);
}

std::vector<Check> check(const AttentionShape& s, const Tensors& t) {
  const AttentionHost host(s, t);
  const reference::AttentionResult truth = reference::attention(s, host.inputs());
  const auto naive = reference::naive_attention(s, host.inputs(), s.dtype);
  const auto out = host.queries("out", s.heads * s.head_dim_v);
  std::vector<Check> checks = {{"output", reference::compare(out, truth.out, naive)}};
  if (s.lse) {
    const double bound = 1e-3 + std::ldexp(s.softcap, -10);
    checks.push_back({"lse", reference::compare(host.lse(), truth.lse, bound)});
  }
  return checks;
}

Case parse(const Shape& shape) {
  AttentionShape s = parse_attention(shape);
  s.lse = shape.flag("lse");
  return {.text = describe(s),
          .dtype = s.dtype,
          .flops = 2 * s.visible_pairs() * static_cast<double>(s.head_dim + s.head_dim_v),
          .call = [s](Tensors& t) { return make_call(s, t); },
          .check = [s](const Tensors& t) { return check(s, t); }};
}

std::vector<Key> keys() {
  std::vector<Key> keys = attention_keys();
  keys.push_back({"lse", "false", "Write the log-sum-exp too"});
  return keys;
}

}  // namespace

Operator attention_operator() {
  return {.name = "attention",
          .summary = "Attention: tensors are [batch, seqlen, heads, head_dim]",
          .keys = keys(),
          .inputs = attention_inputs(),
          .outputs = {{"out", "The output"}, {"lse", "The log-sum-exp", true}},
          .random = {"batch", "seqlen", "heads", "head_dim"},
          .random_default = "2x1024x16x128",
          .cases = attention_cases(),
          .read_files = read_attention_files,
          .parse = parse};
}

}  // namespace sprue::tools
