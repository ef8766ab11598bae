// The values of attention's features and shapes that tests combine.
#include "ops/attention_factors.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace sprue::test {
namespace {

Factor lengths(std::int64_t reference::AttentionShape::*length, std::initializer_list<std::int64_t> values) {
  Factor factor;
  for (const std::int64_t value : values)
    factor.push_back([=](AttentionCase& c) { c.shape.*length = value; });
  return factor;
}

Factor storages(Storage AttentionCase::*storage, std::initializer_list<Storage> values) {
  Factor factor;
  for (const Storage& value : values) factor.push_back([=](AttentionCase& c) { c.*storage = value; });
  return factor;
}

Factor flag(bool AttentionCase::*member) {
  return {[](AttentionCase&) {}, [=](AttentionCase& c) { c.*member = true; }};
}

Factor dimensions(std::initializer_list<std::array<std::int64_t, 2>> values) {
  Factor factor;
  for (const auto& value : values) {
    factor.push_back([=](AttentionCase& c) { c.shape.head_dim = value[0], c.shape.head_dim_v = value[1]; });
  }
  return factor;
}

Factor heads(std::initializer_list<std::array<std::int64_t, 2>> values) {
  Factor factor;
  for (const auto& value : values) {
    factor.push_back([=](AttentionCase& c) { c.shape.heads = value[0], c.shape.kv_heads = value[1]; });
  }
  return factor;
}

using Case = AttentionCase&;
constexpr auto kUsual = [](Case) {};

}  // namespace

std::vector<Factor> attention_factors(bool portable) {
  Factor layouts = {kUsual, [](Case c) {
                      c.layout = {.order = {0, 2, 1, 3}, .padding = 8};
                      c.other_layout = {.padding = 1, .offset = 1, .step = 2};
                    }};
  if (portable) {
    layouts.push_back([](Case c) {
      c.layout = {.padding = 1, .offset = 1}, c.other_layout = {.padding = 1, .offset = 1, .step = 2};
    });
  }
  return {
      storages(
          &AttentionCase::k_storage,
          {{}, {.slack = true}, {.packed = true}, {.page_size = 1}, {.page_size = 48}, {.page_size = 256}}),
      storages(&AttentionCase::q_storage,
               {{}, {.slack = true}, {.packed = true}, {.packed = true, .slack = true}}),
      dimensions({{64, 64}, {128, 128}, {192, 128}, {256, 256}, {72, 72}, {64, 512}}),
      heads({{3, 3}, {4, 2}, {8, 1}, {6, 2}}),
      lengths(&reference::AttentionShape::seqlen_q, {1, 63, 65, 113, 129, 300}),
      lengths(&reference::AttentionShape::seqlen_k, {1, 65, 129, 257, 400}),
      {kUsual, [](Case c) { c.shape.causal = true; }},
      {kUsual, [](Case c) { c.shape.window_left = 70; }, [](Case c) { c.shape.window_right = 10; },
       [](Case c) { c.shape.window_left = 33, c.shape.window_right = 0; }},
      {kUsual, [](Case c) { c.shape.chunk = 48; }, [](Case c) { c.shape.chunk = 128; }},
      {kUsual, [](Case c) { c.shape.softcap = 20; }},
      {kUsual, [](Case c) { c.slopes = Slopes::per_head; }, [](Case c) { c.slopes = Slopes::per_sequence; }},
      {kUsual, [](Case c) { c.bias.given = true; },
       [](Case c) { c.bias.given = true, c.bias.dtype = DType::f16; }},  // f16 stands for the dtype of q
      {kUsual, [](Case c) { c.bias.same_sequences = true; }, [](Case c) { c.bias.same_heads = true; },
       [](Case c) { c.bias.same_queries = true; },
       [](Case c) { c.bias.same_sequences = c.bias.same_heads = c.bias.same_queries = true; }},
      flag(&AttentionCase::sinks),
      {kUsual, [](Case c) { c.shape.dropout = {.probability = 0.17f, .seed = 42, .offset = 1000}; },
       [](Case c) {
         c.shape.dropout = {.probability = 0.5f, .seed = std::uint64_t{1} << 40};
         c.probabilities = true;
       }},
      {kUsual, [](Case c) { c.lse = false; }},
      {kUsual, [](Case c) { c.dtype = DType::f16; }},
      {kUsual, [](Case c) { c.shape.scale = -0.1f; }, [](Case c) { c.shape.scale = 0.2f; }},
      {kUsual, [](Case c) { c.magnitude = 50; }},
      layouts,
      {kUsual, [](Case c) { c.shape.empty_lse = INFINITY; }},
      flag(&AttentionCase::batch_invariant),
      {[=](Case c) { c.portable = portable; }},
  };
}

std::vector<int> levels_of(const std::vector<Factor>& factors) {
  std::vector<int> levels;
  for (const Factor& factor : factors) levels.push_back(static_cast<int>(factor.size()));
  return levels;
}

AttentionCase case_of(const std::vector<Factor>& factors, const std::vector<int>& row) {
  AttentionCase c = sequences(1, 1, 64, false, DType::bf16);
  for (std::size_t f = 0; f < factors.size(); ++f) factors[f][static_cast<std::size_t>(row[f])](c);
  auto& s = c.shape;
  s.batch = 4;
  const std::int64_t q = s.seqlen_q, k = s.seqlen_k;
  if (c.q_storage.packed || c.q_storage.slack) s.lengths_q = {q, 0, q / 2 + 1, q};
  if (c.k_storage.packed || c.k_storage.slack || c.k_storage.page_size > 0)
    s.lengths_k = {k / 3 + 1, k, 0, k};
  for (std::int64_t& length : s.lengths_q) length = std::min(length, q);
  for (std::int64_t& length : s.lengths_k) length = std::min(length, k);
  if (c.bias.dtype != DType::f32) c.bias.dtype = c.dtype;
  return c;
}

}  // namespace sprue::test
