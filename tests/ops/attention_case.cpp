// AttentionCase: shapes, numbers and text.
#include "ops/attention_case.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "reference/random.h"

namespace sprue::test {
namespace {

std::vector<std::int64_t> lengths(const AttentionCase& c,
                                  std::int64_t (reference::AttentionShape::*length)(std::int64_t) const) {
  std::vector<std::int64_t> result;
  for (std::int64_t b = 0; b < c.shape.batch; ++b) result.push_back((c.shape.*length)(b));
  return result;
}

std::uint64_t identity(const AttentionCase& c, std::int64_t b) {
  return c.identities.empty() ? static_cast<std::uint64_t>(b) : c.identities[static_cast<std::size_t>(b)];
}

/// The values of each sequence follow from its identity alone. Rows [batch, rows] of `width` values; NaN
/// where a sequence has no such row.
std::vector<float> per_sequence(const AttentionCase& c, const std::vector<std::int64_t>& lengths,
                                std::int64_t rows, std::int64_t width, std::uint64_t seed, DType dtype,
                                float deviation) {
  std::vector<float> all(lengths.size() * static_cast<std::size_t>(rows * width), NAN);
  for (std::size_t b = 0; b < lengths.size(); ++b) {
    const std::uint64_t its_seed = 100 * identity(c, static_cast<std::int64_t>(b)) + seed;
    const auto some = reference::random_normal(lengths[b] * width, its_seed, dtype, deviation);
    std::copy(some.begin(), some.end(), all.begin() + static_cast<std::int64_t>(b) * rows * width);
  }
  return all;
}

/// [batch | 1, heads | 1, queries | 1, keys] of the bias.
std::array<std::int64_t, 4> bias_extents(const AttentionCase& c) {
  return {c.bias.same_sequences ? 1 : c.shape.batch, c.bias.same_heads ? 1 : c.shape.heads,
          c.bias.same_queries ? 1 : c.q_placement().reach, c.k_placement().reach};
}

/// NaN where no sequence has a query or a key, -infinity where a key is hidden.
std::vector<float> bias_values(const AttentionCase& c) {
  const auto [batch, heads, queries, keys] = bias_extents(c);
  std::vector<float> values(static_cast<std::size_t>(batch * heads * queries * keys), NAN);
  std::vector<bool> hidden;  // [keys]
  for (const float x : reference::random_normal(keys, 5, DType::f32))
    hidden.push_back(std::erfc(std::abs(x) / std::sqrt(2.0f)) < c.bias.hidden);
  for (std::int64_t b = 0; b < batch; ++b) {
    std::int64_t most_q = 0, most_k = 0;
    for (std::int64_t other = 0; other < c.shape.batch; ++other) {
      if (batch > 1 && other != b) continue;
      most_q = std::max(most_q, c.shape.length_q(other));
      most_k = std::max(most_k, c.shape.length_k(other));
    }
    for (std::int64_t row = 0; row < heads * queries; ++row) {
      if (queries > 1 && row % queries >= most_q) continue;
      const std::uint64_t seed = 100 * identity(c, b) + 4 + (static_cast<std::uint64_t>(row) << 32);
      const auto some = reference::random_normal(most_k, seed, c.bias.dtype);
      float* const target = values.data() + (b * heads * queries + row) * keys;
      for (std::int64_t j = 0; j < most_k; ++j) {
        const auto at = static_cast<std::size_t>(j);
        target[j] = hidden[at] ? -INFINITY : some[at];
      }
    }
  }
  return values;
}

}  // namespace

Placement AttentionCase::q_placement() const {
  return place(q_storage, lengths(*this, &reference::AttentionShape::length_q), shape.seqlen_q);
}

Placement AttentionCase::k_placement() const {
  return place(k_storage, lengths(*this, &reference::AttentionShape::length_k), shape.seqlen_k);
}

std::string AttentionCase::print() const {
  std::string text = fmt::format("{}, {}{}, q {}, k {}", shape.print(), name_of(dtype), lse ? ", lse" : "",
                                 q_storage.print(), k_storage.print());
  text += fmt::format(", offset {}, padding {}, {} order, magnitude {}", layout.offset, layout.padding,
                      layout.order.empty() ? "usual" : "other", magnitude);
  if (!std::isnan(shape.scale)) text += fmt::format(", scale {}", shape.scale);
  if (slopes != Slopes::none)
    text += fmt::format(", slopes of {} per {}", slope, slopes == Slopes::per_head ? "head" : "sequence");
  if (bias.given) {
    text += fmt::format(", bias {}{}{}{}", name_of(bias.dtype), bias.same_sequences ? ", same sequences" : "",
                        bias.same_heads ? ", same heads" : "", bias.same_queries ? ", same queries" : "");
  }
  if (sinks) text += ", sinks";
  if (probabilities) text += ", probabilities";
  if (batch_invariant) text += ", batch invariant";
  if (portable) text += ", portable";
  return text;
}

AttentionCase sequences(std::int64_t seqlen_q, std::int64_t seqlen_k, std::int64_t head_dim, bool causal,
                        DType dtype) {
  return {.shape = {.batch = 2,
                    .seqlen_q = seqlen_q,
                    .seqlen_k = seqlen_k,
                    .heads = 3,
                    .kv_heads = 3,
                    .head_dim = head_dim,
                    .head_dim_v = head_dim,
                    .causal = causal},
          .dtype = dtype};
}

TensorSpecs specs_of(const AttentionCase& c) {
  const auto& s = c.shape;
  const Placement q = c.q_placement(), k = c.k_placement();
  const auto rows = [&](const Placement& p, std::int64_t heads, std::int64_t dim) {
    TensorSpec spec{c.dtype, p.extents, c.layout};
    spec.shape.insert(spec.shape.end(), {heads, dim});
    if (spec.layout.order.size() != spec.shape.size()) spec.layout.order.clear();
    return spec;
  };
  const auto other = [&](DType dtype, std::vector<std::int64_t> shape) {
    return TensorSpec{dtype, std::move(shape), c.other_layout};
  };
  TensorSpecs specs;
  specs[kOut] = rows(q, s.heads, s.head_dim_v);
  specs[kQ] = rows(q, s.heads, s.head_dim);
  specs[kK] = rows(k, s.kv_heads, s.head_dim);
  specs[kV] = rows(k, s.kv_heads, s.head_dim_v);
  if (c.lse) {
    std::vector<std::int64_t> shape = {s.batch, s.heads, s.seqlen_q};
    if (c.q_storage.packed) shape = {s.heads, q.count()};
    specs[kLse] = TensorSpec{DType::f32, shape, c.lse_layout};
    if (c.lse_layout.order.size() != shape.size()) specs[kLse]->layout.order.clear();
  }
  if (c.slopes == Slopes::per_head) specs[kSlopes] = other(DType::f32, {s.heads});
  if (c.slopes == Slopes::per_sequence) specs[kSlopes] = other(DType::f32, {s.batch, s.heads});
  if (c.bias.given) {
    const auto extents = bias_extents(c);
    specs[kBias] = other(c.bias.dtype, {extents.begin(), extents.end()});
    specs[kBias]->layout.step = 1;
  }
  if (c.sinks) specs[kSinks] = other(DType::f32, {s.heads});
  if (c.probabilities) {
    specs[kProbabilities] = TensorSpec{c.dtype, {s.batch, s.heads, q.reach, k.reach}, {.padding = 1}};
  }
  const auto index = [&](Slot slot, const std::vector<float>& values) {
    if (!values.empty()) specs[slot] = TensorSpec{DType::i32, {static_cast<std::int64_t>(values.size())}, {}};
  };
  index(kCuQ, q.cu_seqlens);
  index(kCuK, k.cu_seqlens);
  index(kUsedQ, q.seqused);
  index(kUsedK, k.seqused);
  if (c.k_storage.page_size > 0)
    specs[kTable] = TensorSpec{DType::i32, {s.batch, k.max_pages}, {.padding = 3}};
  return specs;
}

Attention args_of(const AttentionCase& c, const std::array<Tensor, kSlots>& t) {
  return {.out = t[kOut],
          .q = t[kQ],
          .k = t[kK],
          .v = t[kV],
          .lse = t[kLse],
          .causal = c.shape.causal,
          .scale = c.shape.scale,
          .window_left = c.shape.window_left,
          .window_right = c.shape.window_right,
          .chunk = c.shape.chunk,
          .softcap = c.shape.softcap,
          .alibi_slopes = t[kSlopes],
          .bias = t[kBias],
          .sinks = t[kSinks],
          .dropout = c.shape.dropout,
          .probabilities = t[kProbabilities],
          .cu_seqlens_q = t[kCuQ],
          .cu_seqlens_k = t[kCuK],
          .seqused_q = t[kUsedQ],
          .seqused_k = t[kUsedK],
          .block_table = t[kTable],
          .empty_lse = c.shape.empty_lse,
          .batch_invariant = c.batch_invariant,
          .portable = c.portable};
}

Attention call_of(const AttentionCase& c) {
  std::array<Tensor, kSlots> tensors;
  std::uintptr_t region = 0;
  const TensorSpecs specs = specs_of(c);
  for (int slot = 0; slot < kSlots; ++slot) {
    region += std::uintptr_t{1} << 40;  // far from the others
    if (!specs[slot]) continue;
    const auto& [dtype, shape, layout] = *specs[slot];
    const std::uintptr_t address = region + static_cast<std::size_t>(layout.offset) * size_of(dtype);
    tensors[slot] = Tensor(reinterpret_cast<void*>(address), dtype, extents_of(shape, layout));
  }
  return args_of(c, tensors);
}

AttentionValues::AttentionValues(const AttentionCase& c) {
  const auto& s = c.shape;
  const auto q_lengths = lengths(c, &reference::AttentionShape::length_q),
             k_lengths = lengths(c, &reference::AttentionShape::length_k);
  q = per_sequence(c, q_lengths, s.seqlen_q, s.heads * s.head_dim, 1, c.dtype, c.magnitude);
  k = per_sequence(c, k_lengths, s.seqlen_k, s.kv_heads * s.head_dim, 2, c.dtype, 1);
  v = per_sequence(c, k_lengths, s.seqlen_k, s.kv_heads * s.head_dim_v, 3, c.dtype, 1);
  if (c.slopes == Slopes::per_head) slopes = reference::random_normal(s.heads, 6, DType::f32, c.slope);
  if (c.slopes == Slopes::per_sequence) {
    const std::vector<std::int64_t> one(static_cast<std::size_t>(s.batch), 1);
    slopes = per_sequence(c, one, 1, s.heads, 7, DType::f32, c.slope);
  }
  for (float& one : slopes) one = std::abs(one);
  if (c.bias.given) bias = bias_values(c);
  if (c.sinks) sinks = reference::random_normal(s.heads, 8, DType::f32, 2);
}

reference::AttentionInputs AttentionValues::inputs(const AttentionCase& c) const {
  reference::AttentionInputs in{.q = q, .k = k, .v = v, .alibi_slopes = slopes, .sinks = sinks};
  if (c.bias.given) {
    const auto [batch, heads, queries, keys] = bias_extents(c);
    in.bias = {.values = bias, .batch = batch, .heads = heads, .queries = queries, .keys = keys};
  }
  return in;
}

}  // namespace sprue::test
