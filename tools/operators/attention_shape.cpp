#include "operators/attention_shape.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include "sprue/error.h"

namespace sprue::tools {
namespace {

using Lengths = std::vector<std::int64_t>;

std::int64_t total(const Lengths& lengths) {
  return std::accumulate(lengths.begin(), lengths.end(), std::int64_t{0});
}

std::int64_t longest(const Lengths& lengths) {
  return *std::max_element(lengths.begin(), lengths.end());
}

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

/// A list; or "16..2048": `batch` lengths between them, all equally likely, the same ones every time.
Lengths lengths_of(const Shape& shape, const char* key) {
  if (!shape.has(key) || !shape.value(key).is_string()) return shape.integers(key, 0);
  const std::string text = shape.text(key);
  const std::size_t dots = text.find("..");
  const auto least = parse_extents(text.substr(0, dots));
  const auto most = dots == std::string::npos ? Lengths() : parse_extents(text.substr(dots + 2));
  if (least.size() != 1 || most.size() != 1 || least[0] > most[0])
    shape.refuse(key, "a list such as 5,17,3 or a range such as 16..2048");
  Lengths lengths;
  std::uint64_t state = 1;
  for (std::int64_t b = 0; b < shape.extent("batch"); ++b) {
    state = state * 6364136223846793005u + 1442695040888963407u;  // Knuth's
    lengths.push_back(least[0] + static_cast<std::int64_t>(
                                     (state >> 33) % static_cast<std::uint64_t>(most[0] - least[0] + 1)));
  }
  return lengths;
}

void check_batch(const Shape& shape, const AttentionShape& s, const Lengths& lengths) {
  if (lengths.empty() || static_cast<std::int64_t>(lengths.size()) == s.batch) return;
  if (shape.has("batch")) shape.refuse("batch", fmt::format("{}, as lengths has", lengths.size()));
  shape.refuse("lengths_k", fmt::format("{} lengths, as lengths has", s.batch));
}

/// seqlen_q, seqlen_k and lengths.
void parse_lengths(const Shape& shape, AttentionShape& s) {
  s.lengths_q = lengths_of(shape, "lengths");
  s.lengths_k = shape.has("lengths_k")  ? lengths_of(shape, "lengths_k")
                : shape.has("seqlen_k") ? Lengths()
                                        : s.lengths_q;
  const Lengths& known = s.lengths_q.empty() ? s.lengths_k : s.lengths_q;
  s.batch =
      known.empty() || shape.has("batch") ? shape.extent("batch") : static_cast<std::int64_t>(known.size());
  check_batch(shape, s, s.lengths_q);
  check_batch(shape, s, s.lengths_k);
  const auto seqlen = [&](const char* key, const Lengths& lengths) {
    const bool own = shape.has(key) || (key == std::string_view("seqlen_k") && shape.has("lengths_k"));
    const char* const given = shape.has("seqlen") && !own ? "seqlen" : key;
    if (lengths.empty()) return shape.integer(given, 1);
    if (!shape.has(given)) return longest(lengths);
    if (shape.integer(given, 0) < longest(lengths))
      shape.refuse(given, fmt::format("at least the longest length, {}", longest(lengths)));
    return shape.integer(given, 0);
  };
  s.seqlen_q = seqlen("seqlen_q", s.lengths_q);
  s.seqlen_k = seqlen("seqlen_k", s.lengths_k);
  const std::string name = shape.text("storage");
  if (name != "packed" && name != "padded") shape.refuse("storage", "packed or padded");
  const Storage storage = name == "packed" ? Storage::packed : Storage::padded;
  s.page_size = shape.integer("page_size", 0);
  if (s.page_size != 0 && s.lengths_k.empty())
    s.lengths_k.assign(static_cast<std::size_t>(s.batch), s.seqlen_k);
  if (!s.lengths_q.empty()) s.q = storage;
  if (!s.lengths_k.empty()) s.k = s.page_size != 0 ? Storage::paged : storage;
  if (s.q == Storage::packed) s.seqlen_q = std::max(longest(s.lengths_q), std::int64_t{1});
  if (s.k == Storage::packed || s.k == Storage::paged)
    s.seqlen_k = std::max(longest(s.lengths_k), std::int64_t{1});
}

/// true: [1, heads, seqlen_q, seqlen_k]; "1x1x1x128": those extents.
Lengths bias_extents(const Shape& shape, const AttentionShape& s) {
  if (shape.value("bias").is_boolean())
    return shape.flag("bias") ? Lengths{1, s.heads, s.seqlen_q, s.seqlen_k} : Lengths();
  const auto extents = parse_extents(shape.text("bias"));
  if (extents.size() != 4) shape.refuse("bias", "true, false or four extents such as 1x8x1x128");
  return extents;
}

std::int64_t pages_of(const AttentionShape& s, std::int64_t length) {
  return (length + s.page_size - 1) / s.page_size;
}

/// [batch, most pages]: every sequence's pages, the last one first in memory.
struct BlockTable {
  std::int64_t pages = 0, columns = 1;
  std::vector<float> values;

  explicit BlockTable(const AttentionShape& s) {
    for (const std::int64_t length : s.lengths_k) {
      pages += pages_of(s, length);
      columns = std::max(columns, pages_of(s, length));
    }
    values.resize(static_cast<std::size_t>(s.batch * columns));
    std::int64_t page = pages;
    for (std::int64_t b = 0; b < s.batch; ++b) {
      for (std::int64_t n = 0; n < pages_of(s, s.length_k(b)); ++n)
        values[static_cast<std::size_t>(b * columns + n)] = static_cast<float>(--page);
    }
    pages = std::max(pages, std::int64_t{1});
  }
};

Lengths stored(Storage storage, const AttentionShape& s, const Lengths& lengths, std::int64_t seqlen,
               std::int64_t heads, std::int64_t head_dim) {
  if (storage == Storage::packed) return {total(lengths), heads, head_dim};
  if (storage == Storage::paged) return {BlockTable(s).pages, s.page_size, heads, head_dim};
  return {s.batch, seqlen, heads, head_dim};
}

std::vector<float> floats(const Lengths& lengths) {
  return {lengths.begin(), lengths.end()};
}

void add_lengths(const AttentionShape& s, Tensors& t, Attention& args) {
  if (s.q == Storage::packed)
    args.cu_seqlens_q = t.input("cu_seqlens_q", DType::i32, {s.batch + 1}, starts_of(s.lengths_q));
  if (s.q == Storage::padded)
    args.seqused_q = t.input("seqused_q", DType::i32, {s.batch}, floats(s.lengths_q));
  if (s.k == Storage::packed)
    args.cu_seqlens_k = t.input("cu_seqlens_k", DType::i32, {s.batch + 1}, starts_of(s.lengths_k));
  if (s.k == Storage::padded || s.k == Storage::paged)
    args.seqused_k = t.input("seqused_k", DType::i32, {s.batch}, floats(s.lengths_k));
  if (s.k == Storage::paged) {
    const BlockTable table(s);
    args.block_table = t.input("block_table", DType::i32, {s.batch, table.columns}, table.values);
  }
}

/// "16 to 2048"
std::string range_of(const Lengths& lengths, std::int64_t seqlen) {
  if (lengths.empty()) return std::to_string(seqlen);
  return fmt::format("{} to {}", *std::min_element(lengths.begin(), lengths.end()), longest(lengths));
}

const char* name_of_storage(Storage storage) {
  return storage == Storage::packed ? "packed" : storage == Storage::padded ? "padded" : "paged";
}

}  // namespace

AttentionShape parse_attention(const Shape& shape) {
  AttentionShape s;
  parse_lengths(shape, s);
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
  s.batch_invariant = shape.flag("batch_invariant");
  s.portable = shape.flag("portable");
  s.dtype = shape.dtype();
  return s;
}

std::string describe(const AttentionShape& s) {
  constexpr std::size_t kListed = 8;
  reference::AttentionShape printed = s;
  std::string lengths;
  if (std::max(s.lengths_q.size(), s.lengths_k.size()) > kListed) {
    lengths = fmt::format(", lengths {} and {}", range_of(s.lengths_q, s.seqlen_q),
                          range_of(s.lengths_k, s.seqlen_k));
    printed.lengths_q.clear();
    printed.lengths_k.clear();
  }
  std::string text = printed.print() + lengths;
  if (s.q != Storage::batch) text += fmt::format(", queries {}", name_of_storage(s.q));
  if (s.k != Storage::batch) text += fmt::format(", keys {}", name_of_storage(s.k));
  if (s.k == Storage::paged) text += fmt::format(" by {}", s.page_size);
  if (s.alibi) text += ", ALiBi";
  if (!s.bias.empty()) text += fmt::format(", bias {}", fmt::join(s.bias, " x "));
  if (s.sinks) text += ", sinks";
  if (s.batch_invariant) text += ", batch invariant";
  if (s.portable) text += ", portable";
  if (s.lse) text += ", lse";
  return text + ", " + name_of(s.dtype);
}

Lengths out_extents(const AttentionShape& s) {
  return stored(s.q, s, s.lengths_q, s.seqlen_q, s.heads, s.head_dim_v);
}

Lengths lse_extents(const AttentionShape& s) {
  return s.q == Storage::packed ? Lengths{s.heads, total(s.lengths_q)}
                                : Lengths{s.batch, s.heads, s.seqlen_q};
}

Attention attention_call(const AttentionShape& s, Tensors& t) {
  const auto keys = [&](std::int64_t head_dim) {
    return stored(s.k, s, s.lengths_k, s.seqlen_k, s.kv_heads, head_dim);
  };
  Attention args;
  args.q = t.input("q", s.dtype, stored(s.q, s, s.lengths_q, s.seqlen_q, s.heads, s.head_dim));
  args.k = t.input("k", s.dtype, keys(s.head_dim));
  args.v = t.input("v", s.dtype, keys(s.head_dim_v));
  args.causal = s.causal;
  args.scale = s.scale;
  args.window_left = s.window_left;
  args.window_right = s.window_right;
  args.chunk = s.chunk;
  args.softcap = s.softcap;
  args.dropout = s.dropout;
  args.batch_invariant = s.batch_invariant;
  args.portable = s.portable;
  if (s.alibi) args.alibi_slopes = t.input("alibi", DType::f32, {s.heads}, standard_slopes(s.heads));
  if (!s.bias.empty()) args.bias = t.input("bias", s.dtype, s.bias);
  if (s.sinks) args.sinks = t.input("sinks", DType::f32, {s.heads});
  add_lengths(s, t, args);
  return args;
}

}  // namespace sprue::tools
