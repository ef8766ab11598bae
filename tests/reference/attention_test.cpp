// Attention on the CPU against values worked out by hand.
#include "reference/attention.h"

#include <cmath>

#include "reference/compare.h"
#include "reference/random.h"
#include "support/catch.h"

namespace sprue::reference {
namespace {

/// One channel, q and k all 0: every score is what bias, slopes and sinks make of it. v[j] is 2^j.
AttentionResult of_zero_scores(const AttentionShape& shape, const AttentionInputs& inputs = {}) {
  const std::vector<float> q(static_cast<std::size_t>(shape.q_elements()));
  const std::vector<float> k(static_cast<std::size_t>(shape.k_elements()));
  std::vector<float> v;
  for (std::int64_t j = 0; j < shape.v_elements(); ++j) {
    v.push_back(std::exp2(static_cast<float>(j / shape.kv_heads % shape.seqlen_k)));
  }
  AttentionInputs all = inputs;
  all.q = q;
  all.k = k;
  all.v = v;
  return attention(shape, all);
}

AttentionShape one_channel(std::int64_t seqlen_q, std::int64_t seqlen_k) {
  return {.seqlen_q = seqlen_q, .seqlen_k = seqlen_k, .head_dim = 1, .head_dim_v = 1, .scale = 1};
}

}  // namespace

TEST_CASE("attention over one key is that key's value") {
  const AttentionShape shape{.seqlen_q = 2, .seqlen_k = 1, .head_dim = 8, .head_dim_v = 8, .scale = 2};
  const std::vector<float> q(16, 0.5f), k(8, 0.25f), v = {1, 2, 3, 4, 5, 6, 7, 8};
  const AttentionResult result = attention(shape, {q, k, v});
  for (int i = 0; i < 16; ++i) CHECK(result.out[i] == v[i % 8]);
  CHECK(result.lse[0] == Approx(2 * 8 * 0.5 * 0.25));
  CHECK(result.largest_score == 2);
}

TEST_CASE("attention weighs values by the softmax of the scores") {
  AttentionShape shape = one_channel(1, 2);
  const std::vector<float> q = {1}, k = {0, std::log(3.0f)}, v = {10, 20};
  const AttentionResult result = attention(shape, {q, k, v});
  CHECK(result.out[0] == Approx(10 * 0.25 + 20 * 0.75));
  CHECK(result.lse[0] == Approx(std::log(4.0)));
  shape.scale = -1;
  CHECK(attention(shape, {q, k, v}).out[0] == Approx(10 * 0.75 + 20 * 0.25));
  shape.scale = 0;
  CHECK(attention(shape, {q, k, v}).out[0] == Approx(15));
}

TEST_CASE("a sum of many channels is complete") {
  for (const std::int64_t channels : {1, 7, 8, 9, 20, 64}) {
    const AttentionShape shape{.head_dim = channels, .head_dim_v = 1, .scale = 1};
    const std::vector<float> ones(static_cast<std::size_t>(channels), 1.0f), v = {3};
    CHECK(attention(shape, {ones, ones, v}).lse[0] == static_cast<double>(channels));
  }
}

TEST_CASE("a query that sees no key has out 0 and lse -infinity, or what is asked for") {
  AttentionShape shape{.seqlen_q = 2, .seqlen_k = 1, .head_dim = 8, .head_dim_v = 8, .causal = true};
  const std::vector<float> q(16, 1.0f), k(8, 1.0f), v(8, 7.0f);
  const AttentionResult result = attention(shape, {q, k, v});
  CHECK(result.out[0] == 0);
  CHECK(result.out[8] == 7);
  CHECK(result.lse[0] == -INFINITY);
  CHECK(std::isfinite(result.lse[1]));
  CHECK(naive_attention(shape, {q, k, v}, DType::f16)[0] == 0);
  shape.empty_lse = INFINITY;
  CHECK(attention(shape, {q, k, v}).lse[0] == INFINITY);
}

TEST_CASE("query heads share key and value heads in groups") {
  const AttentionShape shape{.heads = 4, .kv_heads = 2, .head_dim = 8, .head_dim_v = 8};
  std::vector<float> v(16, 1.0f);
  for (int d = 8; d < 16; ++d) v[d] = 2;
  const AttentionResult result =
      attention(shape, {std::vector<float>(32, 1.0f), std::vector<float>(16, 1.0f), v});
  for (int h = 0; h < 4; ++h) CHECK(result.out[8 * h] == (h < 2 ? 1 : 2));
}

TEST_CASE("a softcap bounds the scores before bias and slopes") {
  AttentionShape shape = one_channel(1, 1);
  shape.softcap = 5;
  const std::vector<float> q = {1}, k = {100}, v = {1}, bias = {7}, slopes = {2};
  CHECK(attention(shape, {q, k, v}).lse[0] == Approx(5));
  CHECK(attention(shape, {.q = q, .k = k, .v = v, .bias = {.values = bias, .keys = 1}}).lse[0] == Approx(12));
  const std::vector<float> small = {2};
  CHECK(attention(shape, {q, small, v}).lse[0] == Approx(5 * std::tanh(0.4)));
}

TEST_CASE("ALiBi lowers scores by slope times distance, from where the query stands among the keys") {
  AttentionShape shape = one_channel(2, 4);
  shape.batch = 2;
  shape.heads = 2;
  const std::vector<float> same = {1, 2}, different = {1, 2, 3, 4};
  const auto lse = [](double slope, std::vector<double> distances) {
    double sum = 0;
    for (const double distance : distances) sum += std::exp(-slope * distance);
    return std::log(sum);
  };
  const auto per_head = of_zero_scores(shape, {.alibi_slopes = same}).lse;
  const auto per_batch = of_zero_scores(shape, {.alibi_slopes = different}).lse;
  for (const int b : {0, 1}) {
    for (const int h : {0, 1}) {
      CHECK(per_head[(b * 2 + h) * 2] == Approx(lse(h + 1, {2, 1, 0, 1})));
      CHECK(per_batch[(b * 2 + h) * 2] == Approx(lse(2 * b + h + 1, {2, 1, 0, 1})));
      CHECK(per_batch[(b * 2 + h) * 2 + 1] == Approx(lse(2 * b + h + 1, {3, 2, 1, 0})));
    }
  }
}

TEST_CASE("a bias is added to every score, and an extent of 1 is the same for all") {
  AttentionShape shape = one_channel(2, 1);
  shape.batch = 2;
  shape.heads = 3;
  for (int broadcast = 0; broadcast < 8; ++broadcast) {
    INFO(broadcast);
    const std::int64_t batch = broadcast & 1 ? 1 : 2, heads = broadcast & 2 ? 1 : 3,
                       queries = broadcast & 4 ? 1 : 2;
    std::vector<float> values;  // rows of 2 keys, of which the second is never used
    for (std::int64_t i = 0; i < batch * heads * queries; ++i) {
      values.insert(values.end(), {static_cast<float>(i), NAN});
    }
    const auto result = of_zero_scores(
        shape, {.bias = {.values = values, .batch = batch, .heads = heads, .queries = queries, .keys = 2}});
    for (std::int64_t b = 0; b < 2; ++b) {
      for (std::int64_t h = 0; h < 3; ++h) {
        for (std::int64_t i = 0; i < 2; ++i) {
          const auto expected = static_cast<double>((b % batch * heads + h % heads) * queries + i % queries);
          CHECK(result.lse[(b * 3 + h) * 2 + i] == expected);
        }
      }
    }
  }
}

TEST_CASE("a bias of -infinity hides a key, and a row of them hides all") {
  const std::vector<float> bias = {-INFINITY, 0, -INFINITY, -INFINITY};
  const auto result = of_zero_scores(one_channel(2, 2), {.bias = {.values = bias, .queries = 2, .keys = 2}});
  CHECK(result.out == std::vector<double>{2, 0});
  CHECK(result.lse == std::vector<double>{0, -INFINITY});
}

TEST_CASE("a sink takes probability and has no value") {
  AttentionShape shape = one_channel(3, 2);
  shape.causal = true;
  shape.empty_lse = INFINITY;
  const std::vector<float> sinks = {std::log(3.0f)};
  const auto result = of_zero_scores(shape, {.sinks = sinks});
  CHECK(result.out[0] == 0);
  CHECK(result.lse[0] == Approx(std::log(3.0)));
  CHECK(result.out[1] == Approx(1.0 / 4));
  CHECK(result.lse[1] == Approx(std::log(4.0)));
  CHECK(result.out[2] == Approx((1.0 + 2) / 5));
  CHECK(result.lse[2] == Approx(std::log(5.0)));
}

TEST_CASE("dropout removes values, not their part of the sum") {
  AttentionShape shape = one_channel(1, 40);
  shape.dropout = {.probability = 0.4f, .seed = 5};
  const auto probabilities = attention_probabilities(
      shape, {.q = std::vector<float>(1), .k = std::vector<float>(40), .v = std::vector<float>(40)}, 16);
  double kept_values = 0;
  for (int j = 0; j < 40; ++j) kept_values += probabilities[j] > 0 ? std::exp2(j) : 0;
  const auto result = of_zero_scores(shape);
  CHECK(result.out[0] == Approx(kept_values / 40 / (1 - 0.4)));
  CHECK(result.lse[0] == Approx(std::log(40.0)));
}

TEST_CASE("probabilities are relative to the maximum over a tile and those after it") {
  AttentionShape shape = one_channel(1, 5);
  const std::vector<float> q = {1}, k = {4, 1, 3, 2, 0}, v(5);
  const auto whole = attention_probabilities(shape, {q, k, v}, 8);
  for (int j = 0; j < 5; ++j) CHECK(whole[j] == Approx(std::exp(k[j] - 4)));
  const double largest[] = {4, 4, 3, 3, 0};
  const auto tiles = attention_probabilities(shape, {q, k, v}, 2);
  for (int j = 0; j < 5; ++j) CHECK(tiles[j] == Approx(std::exp(k[j] - largest[j])));
  shape.window_left = 1;
  CHECK(attention_probabilities(shape, {q, k, v}, 2)[2] == 0);
  CHECK(attention_probabilities(shape, {q, k, v}, 2)[3] == 1);
}

TEST_CASE("sequences have their own lengths, and what lies beyond them does not count") {
  AttentionShape shape = one_channel(3, 4);
  shape.batch = 4;
  shape.causal = true;
  shape.lengths_q = {3, 0, 2, 1};
  shape.lengths_k = {4, 4, 0, 2};
  std::vector<float> q(12), k(16, NAN), v(16, NAN);
  const auto fill = [](std::vector<float>& values, int first, std::vector<float> some) {
    std::copy(some.begin(), some.end(), values.begin() + first);
  };
  fill(k, 0, {0, 0, 0, 0});
  fill(v, 0, {1, 2, 4, 8});
  fill(k, 12, {0, 0});
  fill(v, 12, {3, 5});
  const auto result = attention(shape, {q, k, v});
  const double expected[] = {1.5, 7.0 / 3, 15.0 / 4, 0, 0, 0, 0, 0, 0, 4, 0, 0};
  for (int row = 0; row < 12; ++row) CHECK(result.out[row] == Approx(expected[row]));
  CHECK(result.lse[6] == -INFINITY);
  CHECK(result.lse[9] == Approx(std::log(2.0)));
  CHECK(shape.visible_pairs() == 2 + 3 + 4 + 0 + 2);
}

TEST_CASE("naive attention is near the truth, more so in f16 than in bf16, with every feature") {
  AttentionShape plain{.batch = 2, .seqlen_q = 20, .seqlen_k = 33, .heads = 2}, full = plain;
  full.kv_heads = 2;
  full.window_left = 18;
  full.chunk = 25;
  full.softcap = 3;
  full.dropout = {.probability = 0.17f, .seed = 1};
  full.lengths_k = {33, 30};
  const auto slopes = random_normal(2, 4, DType::f32, 0.1f), sinks = random_normal(2, 5, DType::f32),
             bias = random_normal(2 * 20 * 33, 6, DType::f32);
  for (const AttentionShape& shape : {plain, full}) {
    const auto error = [&](DType dtype) {
      const auto q = random_normal(shape.q_elements(), 1, dtype),
                 k = random_normal(shape.k_elements(), 2, dtype),
                 v = random_normal(shape.v_elements(), 3, dtype);
      AttentionInputs in{q, k, v};
      if (shape.chunk != 0) {
        in.alibi_slopes = slopes;
        in.bias = {.values = bias, .batch = 2, .queries = 20, .keys = 33};
        in.sinks = sinks;
      }
      const auto naive = naive_attention(shape, in, dtype);
      return compare(naive, attention(shape, in).out, 0).error;
    };
    CHECK(error(DType::f32) < 1e-5);
    CHECK(error(DType::f16) > 1e-5);
    CHECK(error(DType::f16) < 4e-3);
    CHECK(error(DType::bf16) > 2 * error(DType::f16));
    CHECK(error(DType::bf16) < 4e-2);
  }
}

TEST_CASE("a shape names what is not usual") {
  AttentionShape shape{
      .batch = 2, .seqlen_q = 128, .seqlen_k = 256, .heads = 8, .kv_heads = 2, .causal = true};
  CHECK(shape.print() == "batch 2, seqlen 128 x 256, heads 8 / 2, head_dim 64, causal");
  shape.causal = false;
  shape.head_dim_v = 512;
  shape.window_left = 0;
  shape.chunk = 64;
  shape.lengths_k = {3, 256};
  CHECK(
      shape.print() ==
      "batch 2, seqlen 128 x 256, heads 8 / 2, head_dim 64 / 512, window_left 0, chunk 64, lengths_k 3 256");
}

}  // namespace sprue::reference
