// The operator rope of the command.
#include "reference/rope.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "operators/operator.h"
#include "sprue/error.h"
#include "sprue/ops.h"

namespace sprue::tools {
namespace {

struct RopeShape {
  std::int64_t batch = 1, seqlen = 1, heads = 1, heads_k = 0, head_dim = 2, rotary_dim = 2;
  std::int64_t positions = 1, offset = 0;
  std::vector<std::int64_t> lengths;  ///< Of packed sequences; empty: [batch, seqlen].
  bool interleaved = false, conjugate = false, offsets = false, norm = false;
  float norm_eps = 0;
  double base = 0;
  RopeScaling scaling;
  DType dtype = DType::bf16, table_dtype = DType::f32;

  std::int64_t tokens() const {
    return lengths.empty() ? batch * seqlen
                           : std::accumulate(lengths.begin(), lengths.end(), std::int64_t{0});
  }
  std::vector<std::int64_t> extents(std::int64_t h) const {
    return lengths.empty() ? std::vector<std::int64_t>{batch, seqlen, h, head_dim}
                           : std::vector<std::int64_t>{tokens(), h, head_dim};
  }
};

RopeScaling::Kind kind_of(const Shape& shape) {
  using Kind = RopeScaling::Kind;
  const std::pair<const char*, Kind> kinds[] = {{"none", Kind::none},     {"linear", Kind::linear},
                                                {"ntk", Kind::ntk},       {"yarn", Kind::yarn},
                                                {"llama3", Kind::llama3}, {"xpos", Kind::xpos}};
  const std::string name = shape.text("scaling");
  for (const auto& [known, kind] : kinds) {
    if (name == known) return kind;
  }
  shape.refuse("scaling", "none, linear, ntk, yarn, llama3 or xpos");
}

Call make_call(const RopeShape& s, Tensors& t) {
  Rope args;
  args.x = t.input("x", s.dtype, s.extents(s.heads));
  args.y = t.output("out", args.x.dtype, args.x.extents);
  const RopeTables tables = rope_tables(s.positions, s.rotary_dim, s.base, s.scaling);
  const std::vector<std::int64_t> extents = {s.positions, s.rotary_dim / 2};
  args.cos = t.input("cos", s.table_dtype, extents, tables.cos);
  args.sin = t.input("sin", s.table_dtype, extents, tables.sin);
  if (s.heads_k != 0) {
    args.x_k = t.input("x_k", s.dtype, s.extents(s.heads_k));
    args.y_k = t.output("out_k", args.x_k.dtype, args.x_k.extents);
    if (!tables.cos_k.empty()) {
      args.cos_k = t.input("cos_k", s.table_dtype, extents, tables.cos_k);
      args.sin_k = t.input("sin_k", s.table_dtype, extents, tables.sin_k);
    }
  }
  if (s.norm) args.norm_weight = t.input("norm_weight", s.dtype, {s.head_dim});
  if (s.norm && s.heads_k != 0) args.norm_weight_k = t.input("norm_weight_k", s.dtype, {s.head_dim});
  if (s.offsets) {
    std::vector<float> offsets;
    for (std::int64_t b = 0; b < s.batch; ++b) offsets.push_back(static_cast<float>(b));
    args.offsets = t.input("offsets", DType::i32, {s.batch}, offsets);
  }
  if (!s.lengths.empty())
    args.cu_seqlens = t.input("cu_seqlens", DType::i32, {s.batch + 1}, starts_of(s.lengths));
  args.interleaved = s.interleaved;
  args.conjugate = s.conjugate;
  args.offset = s.offset;
  args.norm_eps = s.norm_eps;
  return call(args, rope);
}

std::vector<std::int64_t> positions_of(const RopeShape& s, const Tensors& t) {
  const auto offsets = t.values("offsets");
  std::vector<std::int64_t> positions;
  for (std::int64_t b = 0; b < s.batch; ++b) {
    const auto at = static_cast<std::size_t>(b);
    const std::int64_t first = s.offset + (s.offsets ? static_cast<std::int64_t>(offsets[at]) : 0);
    const std::int64_t length = s.lengths.empty() ? s.seqlen : s.lengths[at];
    for (std::int64_t i = 0; i < length; ++i) positions.push_back(first + i);
  }
  return positions;
}

std::vector<Check> check(const RopeShape& s, const Tensors& t) {
  const auto positions = positions_of(s, t);
  std::vector<Check> checks;
  const auto compare = [&](const std::string& of, std::int64_t heads) {
    const auto x = t.values("x" + of), weight = t.values("norm_weight" + of);
    const std::string tables = t.has("cos" + of) ? of : "";
    const auto cos = t.values("cos" + tables), sin = t.values("sin" + tables);
    const reference::RopeInputs in{.heads = heads,
                                   .head_dim = s.head_dim,
                                   .rotary_dim = s.rotary_dim,
                                   .x = x,
                                   .positions = positions,
                                   .cos = cos,
                                   .sin = sin,
                                   .norm_weight = weight,
                                   .norm_eps = s.norm_eps,
                                   .interleaved = s.interleaved,
                                   .conjugate = s.conjugate};
    checks.push_back({"output" + of, reference::compare(t.values("out" + of), reference::rope(in),
                                                        reference::naive_rope(in, s.dtype))});
  };
  compare("", s.heads);
  if (s.heads_k != 0) compare("_k", s.heads_k);
  return checks;
}

Case parse(const Shape& shape) {
  RopeShape s;
  s.lengths = shape.integers("lengths", 0);
  s.batch = s.lengths.empty() ? shape.extent("batch") : static_cast<std::int64_t>(s.lengths.size());
  s.seqlen =
      s.lengths.empty() ? shape.extent("seqlen") : *std::max_element(s.lengths.begin(), s.lengths.end());
  s.heads = shape.extent("heads");
  s.heads_k = shape.integer("heads_k", 0);
  s.head_dim = shape.extent("head_dim");
  s.rotary_dim = shape.extent("rotary_dim");
  s.interleaved = shape.flag("interleaved");
  s.conjugate = shape.flag("conjugate");
  s.offset = shape.integer("offset", 0);
  s.offsets = shape.flag("offsets");
  s.positions =
      shape.has("positions") ? shape.extent("positions") : s.seqlen + s.offset + (s.offsets ? s.batch : 0);
  s.base = shape.number("base");
  s.scaling.kind = kind_of(shape);
  s.scaling.factor = shape.number("factor");
  s.norm = shape.flag("norm_weight");
  s.norm_eps = shape.real("norm_eps");
  s.dtype = shape.dtype();
  s.table_dtype = shape.dtype("table_dtype");
  std::string text = s.lengths.empty() ? fmt::format("batch {}, seqlen {}", s.batch, s.seqlen)
                                       : fmt::format("{} sequences of {} tokens", s.batch, s.tokens());
  text += fmt::format(", heads {}", s.heads);
  if (s.heads_k != 0) text += fmt::format(" and {}", s.heads_k);
  text += fmt::format(", head_dim {}", s.head_dim);
  if (s.rotary_dim != s.head_dim) text += fmt::format(", rotary_dim {}", s.rotary_dim);
  if (s.interleaved) text += ", interleaved";
  if (s.conjugate) text += ", conjugate";
  if (s.norm) text += ", norm";
  return {.text = text + ", " + name_of(s.dtype),
          .dtype = s.dtype,
          .call = [s](Tensors& t) { return make_call(s, t); },
          .check = [s](const Tensors& t) { return check(s, t); }};
}

void read_files(const Files& files, bool random, nlohmann::ordered_json& shape) {
  if (random) return;
  const HostTensor& x = needed(files, "x");
  const bool packed = files.count("cu_seqlens") != 0;
  require_rank("x", x, packed ? 3 : 4,
               packed ? "[total, heads, head_dim]" : "[batch, seqlen, heads, head_dim]");
  if (packed) {
    shape["lengths"] = lengths_between("cu_seqlens", files.at("cu_seqlens"));
  } else {
    shape["batch"] = x.shape[0];
    shape["seqlen"] = x.shape[1];
  }
  shape["heads"] = x.shape[x.shape.size() - 2];
  shape["head_dim"] = x.shape.back();
  shape["dtype"] = name_of(x.dtype);
  if (const auto k = files.find("x_k"); k != files.end()) {
    require_rank("x_k", k->second, x.shape.size(), "as --x has");
    shape["heads_k"] = k->second.shape[k->second.shape.size() - 2];
  }
  if (files.count("cos") != files.count("sin")) throw ArgumentError("--cos and --sin go together");
  if (const auto cos = files.find("cos"); cos != files.end()) {
    require_rank("cos", cos->second, 2, "[positions, rotary_dim / 2]");
    shape["positions"] = cos->second.shape[0];
    shape["rotary_dim"] = 2 * cos->second.shape[1];
  }
}

std::vector<std::string> cases() {
  std::vector<std::string> cases;
  for (const int head_dim : {64, 128}) {
    for (const int seqlen : {1, 512, 2048, 8192})
      cases.push_back(fmt::format("batch={},seqlen={},heads={},heads_k={},head_dim={}",
                                  seqlen == 1 ? 128 : 16384 / seqlen, seqlen, 4096 / head_dim,
                                  1024 / head_dim, head_dim));
  }
  return cases;
}

}  // namespace

Operator rope_operator() {
  using Type = Input::Type;
  return {.name = "rope",
          .summary = "Rotary position embedding of one or two tensors [batch, seqlen, heads, head_dim]",
          .keys = {{"batch", "1", "Sequences"},
                   {"seqlen", "", "Their length"},
                   {"lengths", "", "Those of packed sequences, 5,17,...; in place of batch and seqlen"},
                   {"heads", "", "Of x"},
                   {"heads_k", "0", "Of x_k, which the same launch rotates; 0: there is none"},
                   {"head_dim", "", "Channels of a head"},
                   {"rotary_dim", "head_dim", "How many of them are rotated"},
                   {"interleaved", "false", "Pairs are neighbours, not halves"},
                   {"conjugate", "false", "Rotate back"},
                   {"offset", "0", "Added to all positions"},
                   {"offsets", "false", "An offset for each sequence"},
                   {"positions", "as needed", "Of the tables"},
                   {"base", "10000", "Of the tables"},
                   {"scaling", "none", "Of the tables: none, linear, ntk, yarn, llama3 or xpos"},
                   {"factor", "1", "By how much the scaled context grows"},
                   {"norm_weight", "false", "Normalise every row first, by RMS with a weight"},
                   {"norm_eps", "1e-6", "Added to the mean square"},
                   {"table_dtype", "f32", "f32 or that of x"},
                   {"dtype", "bf16", "f32, f16 or bf16"}},
          .inputs = {{"x", "What is rotated"},
                     {"x_k", "Likewise"},
                     {"cos", "A table [positions, rotary_dim / 2]", Type::own},
                     {"sin", "A table [positions, rotary_dim / 2]", Type::own},
                     {"offsets", "Of positions, for each sequence [batch]", Type::i32},
                     {"cu_seqlens", "Where packed sequences start [batch + 1]", Type::i32},
                     {"norm_weight", "Weight [head_dim] of the norm"}},
          .outputs = {{"out", "The output"}, {"out_k", "That of x_k"}},
          .random = {"batch", "seqlen", "heads", "head_dim"},
          .random_default = "2x2048x32x128",
          .cases = cases(),
          .read_files = read_files,
          .parse = parse};
}

}  // namespace sprue::tools
