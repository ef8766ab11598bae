// AttentionShape: lengths, visibility and text.
#include <fmt/format.h>

#include "reference/attention.h"

namespace sprue::reference {

double AttentionShape::used_scale() const {
  return std::isnan(scale) ? 1 / std::sqrt(static_cast<double>(head_dim)) : scale;
}

std::int64_t AttentionShape::length_q(std::int64_t b) const {
  return lengths_q.empty() ? seqlen_q : lengths_q[static_cast<std::size_t>(b)];
}

std::int64_t AttentionShape::length_k(std::int64_t b) const {
  return lengths_k.empty() ? seqlen_k : lengths_k[static_cast<std::size_t>(b)];
}

KeyRange AttentionShape::visible_keys(std::int64_t b, std::int64_t i) const {
  const Visibility visibility{causal, window_left, window_right, chunk};
  return visibility.keys(position(b, i), length_k(b));
}

double AttentionShape::visible_pairs() const {
  double pairs = 0;
  const bool alike = lengths_q.empty() && lengths_k.empty();
  for (std::int64_t b = 0; b < (alike ? 1 : batch); ++b) {
    for (std::int64_t i = 0; i < length_q(b); ++i) pairs += static_cast<double>(visible_keys(b, i).size());
  }
  return pairs * static_cast<double>(alike ? batch * heads : heads);
}

std::string AttentionShape::print() const {
  const std::string dims = head_dim == head_dim_v ? fmt::format("head_dim {}", head_dim)
                                                  : fmt::format("head_dim {} / {}", head_dim, head_dim_v);
  std::string text = fmt::format("batch {}, seqlen {} x {}, heads {} / {}, {}", batch, seqlen_q, seqlen_k,
                                 heads, kv_heads, dims);
  if (causal) text += ", causal";
  if (window_left >= 0) text += fmt::format(", window_left {}", window_left);
  if (window_right >= 0) text += fmt::format(", window_right {}", window_right);
  if (chunk > 0) text += fmt::format(", chunk {}", chunk);
  if (softcap != 0) text += fmt::format(", softcap {}", softcap);
  if (dropout.probability != 0) text += fmt::format(", dropout {}", dropout.probability);
  if (!lengths_q.empty()) text += fmt::format(", lengths_q {}", fmt::join(lengths_q, " "));
  if (!lengths_k.empty()) text += fmt::format(", lengths_k {}", fmt::join(lengths_k, " "));
  return text;
}

}  // namespace sprue::reference
