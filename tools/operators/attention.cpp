// The operator attention of the command.
#include "reference/attention.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <bit>
#include <cmath>

#include "operators/operator.h"
#include "sprue/error.h"
#include "sprue/ops.h"

namespace sprue::tools {
namespace {

struct AttentionShape : reference::AttentionShape {
  std::vector<std::int64_t> bias;  ///< Extents; empty: none.
  bool alibi = false, sinks = false, lse = false, batch_invariant = false, portable = false;
  DType dtype = DType::bf16;
};

/// Those of Press et al. 2021: 2^(-8 / heads), its square, ...; for other numbers of heads than powers of
/// two, those of the next smaller one and every other of the next larger one.
std::vector<float> standard_slopes(std::int64_t heads) {
  const auto whole = static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(heads)));
  std::vector<float> slopes;
  for (std::int64_t h = 0; h < heads; ++h) {
    const bool first = h < whole;
    const double step = first ? static_cast<double>(h + 1) : static_cast<double>(h - whole) + 0.5;
    slopes.push_back(static_cast<float>(std::exp2(-8 * step / static_cast<double>(whole))));
  }
  return slopes;
}

Call make_call(const AttentionShape& s, Tensors& t) {
  Attention args{.out = {},
                 .q = t.input("q", s.dtype, {s.batch, s.seqlen_q, s.heads, s.head_dim}),
                 .k = t.input("k", s.dtype, {s.batch, s.seqlen_k, s.kv_heads, s.head_dim}),
                 .v = t.input("v", s.dtype, {s.batch, s.seqlen_k, s.kv_heads, s.head_dim_v}),
                 .causal = s.causal,
                 .scale = s.scale,
                 .window_left = s.window_left,
                 .window_right = s.window_right,
                 .chunk = s.chunk,
                 .softcap = s.softcap,
                 .dropout = s.dropout,
                 .batch_invariant = s.batch_invariant,
                 .portable = s.portable};
  if (s.alibi) args.alibi_slopes = t.input("alibi", DType::f32, {s.heads}, standard_slopes(s.heads));
  if (!s.bias.empty()) args.bias = t.input("bias", s.dtype, s.bias);
  if (s.sinks) args.sinks = t.input("sinks", DType::f32, {s.heads});
  args.out = t.output("out", s.dtype, {s.batch, s.seqlen_q, s.heads, s.head_dim_v});
  if (s.lse) args.lse = t.output("lse", DType::f32, {s.batch, s.heads, s.seqlen_q});
  return call(args, attention);
}

std::vector<Check> check(const AttentionShape& s, const Tensors& t) {
  const auto q = t.values("q"), k = t.values("k"), v = t.values("v");
  const auto slopes = t.values("alibi"), sinks = t.values("sinks"), bias = t.values("bias");
  reference::AttentionInputs in{.q = q, .k = k, .v = v, .alibi_slopes = slopes, .sinks = sinks};
  if (!s.bias.empty()) in.bias = {bias, s.bias[0], s.bias[1], s.bias[2], s.bias[3]};
  const reference::AttentionResult truth = reference::attention(s, in);
  std::vector<Check> checks = {
      {"output", reference::compare(t.values("out"), truth.out, reference::naive_attention(s, in, s.dtype))}};
  if (s.lse) {
    const double bound = 1e-3 + std::ldexp(s.softcap, -10);
    checks.push_back({"lse", reference::compare(t.values("lse"), truth.lse, bound)});
  }
  return checks;
}

/// true: [1, heads, seqlen_q, seqlen_k]; "1x1x1x128": those extents.
std::vector<std::int64_t> bias_extents(const Shape& shape, const AttentionShape& s) {
  if (shape.value("bias").is_boolean())
    return shape.flag("bias") ? std::vector<std::int64_t>{1, s.heads, s.seqlen_q, s.seqlen_k}
                              : std::vector<std::int64_t>();
  const auto extents = parse_extents(shape.text("bias"));
  if (extents.size() != 4) shape.refuse("bias", "true, false or four extents such as 1x8x1x128");
  return extents;
}

AttentionShape attention_shape(const Shape& shape) {
  AttentionShape s;
  s.batch = shape.extent("batch");
  const bool same = shape.has("seqlen");
  s.seqlen_q = shape.extent(same && !shape.has("seqlen_q") ? "seqlen" : "seqlen_q");
  s.seqlen_k = shape.extent(same && !shape.has("seqlen_k") ? "seqlen" : "seqlen_k");
  s.heads = shape.extent("heads");
  s.kv_heads = shape.extent("kv_heads");
  s.head_dim = shape.extent("head_dim");
  s.head_dim_v = shape.extent("head_dim_v");
  s.causal = shape.flag("causal");
  if (shape.has("scale")) s.scale = shape.real("scale");
  s.window_left = shape.integer("window_left", -1);
  s.window_right = shape.integer("window_right", -1);
  s.chunk = shape.integer("chunk", 0);
  s.softcap = shape.real("softcap");
  s.dropout = {.probability = shape.real("dropout"),
               .seed = static_cast<std::uint64_t>(shape.integer("dropout_seed", 0))};
  s.alibi = shape.flag("alibi");
  s.bias = bias_extents(shape, s);
  s.sinks = shape.flag("sinks");
  s.lse = shape.flag("lse");
  s.batch_invariant = shape.flag("batch_invariant");
  s.portable = shape.flag("portable");
  s.dtype = shape.dtype();
  return s;
}

Case parse(const Shape& shape) {
  const AttentionShape s = attention_shape(shape);
  std::string text = s.print();
  if (s.alibi) text += ", ALiBi";
  if (!s.bias.empty()) text += fmt::format(", bias {}", fmt::join(s.bias, " x "));
  if (s.sinks) text += ", sinks";
  if (s.lse) text += ", lse";
  return {.text = text + ", " + name_of(s.dtype),
          .dtype = s.dtype,
          .flops = 2 * s.visible_pairs() * static_cast<double>(s.head_dim + s.head_dim_v),
          .call = [s](Tensors& t) { return make_call(s, t); },
          .check = [s](const Tensors& t) { return check(s, t); }};
}

void read_files(const Files& files, bool random, nlohmann::ordered_json& shape) {
  if (const auto bias = files.find("bias"); bias != files.end()) {
    require_rank("bias", bias->second, 4, "[batch or 1, heads or 1, seqlen_q or 1, seqlen_k]");
    shape["bias"] = fmt::format("{}", fmt::join(bias->second.shape, "x"));
  }
  if (random) return;
  for (const char* name : {"q", "k", "v"}) {
    const HostTensor& tensor = needed(files, name);
    require_rank(name, tensor, 4, "[batch, seqlen, heads, head_dim]");
    if (tensor.dtype == DType::f32) {
      throw ArgumentError(
          fmt::format("{} holds 32-bit or 64-bit floats, but attention takes f16 and bf16: add --dtype bf16 "
                      "or --dtype f16 to convert",
                      option_name(name)));
    }
  }
  const auto &q = files.at("q"), &k = files.at("k");
  shape["batch"] = q.shape[0];
  shape["seqlen_q"] = q.shape[1];
  shape["seqlen_k"] = k.shape[1];
  shape["heads"] = q.shape[2];
  shape["kv_heads"] = k.shape[2];
  shape["head_dim"] = q.shape[3];
  shape["head_dim_v"] = files.at("v").shape[3];
  shape["dtype"] = name_of(q.dtype);
}

std::vector<std::string> cases() {
  constexpr int kTokens = 16384, kModelDim = 2048;
  std::vector<std::string> cases;
  for (const int head_dim : {64, 128, 256}) {
    for (const bool causal : {false, true}) {
      for (const int seqlen : {1024, 2048, 4096, 8192, 16384}) {
        if (head_dim != 128 && seqlen != 8192) continue;
        cases.push_back(fmt::format("batch={},seqlen={},heads={},head_dim={},causal={}", kTokens / seqlen,
                                    seqlen, kModelDim / head_dim, head_dim, causal));
      }
    }
  }
  return cases;
}

}  // namespace

Operator attention_operator() {
  return {.name = "attention",
          .summary = "Attention: tensors are [batch, seqlen, heads, head_dim]",
          .keys = {{"batch", "1", "Sequences"},
                   {"seqlen", "", "Length of all sequences; or seqlen_q and seqlen_k"},
                   {"seqlen_q", "", "Queries of a sequence"},
                   {"seqlen_k", "", "Keys and values of a sequence"},
                   {"heads", "", "Of the queries"},
                   {"kv_heads", "heads", "Of keys and values"},
                   {"head_dim", "", "Of queries and keys"},
                   {"head_dim_v", "head_dim", "Of values and output"},
                   {"causal", "false", "Query i sees keys up to its position, i + seqlen_k - seqlen_q"},
                   {"scale", "1/sqrt(head_dim)", "Of the scores"},
                   {"window_left", "-1", "Keys seen before a query's position; -1: all"},
                   {"window_right", "-1", "Keys seen behind a query's position; -1: all"},
                   {"chunk", "0", "A query sees the keys of its own chunk of so many; 0: all"},
                   {"softcap", "0", "Scores become softcap * tanh(score / softcap); 0: no"},
                   {"alibi", "false", "Add the standard ALiBi slopes times the distance"},
                   {"bias", "false", "Add a bias to the scores: true, or its extents such as 1x8x1x128"},
                   {"sinks", "false", "A logit per head takes probability"},
                   {"dropout", "0", "Probability of dropping"},
                   {"dropout_seed", "0", "Of the dropout pattern"},
                   {"lse", "false", "Write the log-sum-exp too"},
                   {"batch_invariant", "false", "The same bits whatever else is in the batch"},
                   {"portable", "false", "The kernel that runs everywhere, also where there is a faster one"},
                   {"dtype", "bf16", "f16 or bf16"}},
          .inputs = {{"q", "The queries"},
                     {"k", "The keys"},
                     {"v", "The values"},
                     {"alibi", "Slopes [heads] or [batch, heads] of ALiBi", Input::Type::f32},
                     {"bias", "A bias [batch or 1, heads or 1, seqlen_q or 1, seqlen_k] to add to the scores",
                      Input::Type::own},
                     {"sinks", "A logit per head that takes probability", Input::Type::f32}},
          .outputs = {{"out", "The output"}, {"lse", "The log-sum-exp"}},
          .random = {"batch", "seqlen", "heads", "head_dim"},
          .random_default = "2x1024x16x128",
          .cases = cases(),
          .read_files = read_files,
          .parse = parse};
}

}  // namespace sprue::tools
