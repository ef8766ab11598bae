// The CPU operators against values worked out by hand.
#include <cmath>

#include "reference/attention.h"
#include "reference/compare.h"
#include "reference/random.h"
#include "reference/rms_norm.h"
#include "support/catch.h"

namespace sprue::reference {

TEST_CASE("attention over one key is that key's value") {
  const AttentionShape shape{.seqlen_q = 2, .seqlen_k = 1, .head_dim = 8, .head_dim_v = 8, .scale = 2};
  const std::vector<float> q(16, 0.5f), k(8, 0.25f), v = {1, 2, 3, 4, 5, 6, 7, 8};
  const AttentionResult result = attention(shape, {q, k, v});
  for (int i = 0; i < 16; ++i) CHECK(result.out[i] == v[i % 8]);
  CHECK(result.lse[0] == Approx(2 * 8 * 0.5 * 0.25));
}

TEST_CASE("attention weighs values by the softmax of the scores") {
  const AttentionShape shape{.seqlen_k = 2, .head_dim = 1, .head_dim_v = 1, .scale = 1};
  const std::vector<float> q = {1}, k = {0, std::log(3.0f)}, v = {10, 20};
  const AttentionResult result = attention(shape, {q, k, v});
  CHECK(result.out[0] == Approx(10 * 0.25 + 20 * 0.75));
  CHECK(result.lse[0] == Approx(std::log(4.0)));
}

TEST_CASE("a causal mask is aligned at the bottom right") {
  const AttentionShape more_keys{.seqlen_q = 2, .seqlen_k = 5, .causal = true};
  CHECK(more_keys.visible_keys(0) == 4);
  CHECK(more_keys.visible_keys(1) == 5);
  const AttentionShape more_queries{.batch = 2, .seqlen_q = 4, .seqlen_k = 2, .heads = 3, .causal = true};
  CHECK(more_queries.visible_keys(1) == 0);
  CHECK(more_queries.visible_keys(2) == 1);
  CHECK(more_queries.visible_pairs() == (0 + 0 + 1 + 2) * 2 * 3);
}

TEST_CASE("a query that sees no key has out 0 and lse -infinity") {
  const AttentionShape shape{.seqlen_q = 2, .seqlen_k = 1, .head_dim = 8, .head_dim_v = 8, .causal = true};
  const std::vector<float> q(16, 1.0f), k(8, 1.0f), v(8, 7.0f);
  const AttentionResult result = attention(shape, {q, k, v});
  CHECK(result.out[0] == 0);
  CHECK(result.out[8] == 7);
  CHECK(result.lse[0] == -INFINITY);
  CHECK(std::isfinite(result.lse[1]));
  CHECK(naive_attention(shape, {q, k, v}, DType::f16)[0] == 0);
}

TEST_CASE("query heads share key and value heads in groups") {
  const AttentionShape shape{.heads = 4, .kv_heads = 2, .head_dim = 8, .head_dim_v = 8};
  std::vector<float> v(16, 1.0f);
  for (int d = 8; d < 16; ++d) v[d] = 2;
  const AttentionResult result =
      attention(shape, {std::vector<float>(32, 1.0f), std::vector<float>(16, 1.0f), v});
  for (int h = 0; h < 4; ++h) CHECK(result.out[8 * h] == (h < 2 ? 1 : 2));
}

TEST_CASE("naive attention is near the truth, more so in f16 than in bf16") {
  const AttentionShape shape{.batch = 2, .seqlen_q = 20, .seqlen_k = 33, .heads = 2};
  const auto error = [&](DType dtype) {
    const auto q = random_normal(shape.q_elements(), 1, dtype),
               k = random_normal(shape.k_elements(), 2, dtype),
               v = random_normal(shape.v_elements(), 3, dtype);
    const auto naive = naive_attention(shape, {q, k, v}, dtype);
    return compare(naive, attention(shape, {q, k, v}).out, 0).error;
  };
  CHECK(error(DType::f32) < 1e-5);
  CHECK(error(DType::f16) > 1e-5);
  CHECK(error(DType::f16) < 4e-3);
  CHECK(error(DType::bf16) > 2 * error(DType::f16));
  CHECK(error(DType::bf16) < 4e-2);
}

TEST_CASE("rms_norm divides by the root of the mean square") {
  const std::vector<float> x = {3, 4, 0, 0}, weight = {1, 2, 3, 4};
  const auto y = rms_norm({.rows = 1, .hidden = 4, .x = x, .weight = weight, .eps = 0});
  CHECK(y[0] == Approx(3 / 2.5));
  CHECK(y[1] == Approx(2 * 4 / 2.5));
  CHECK(y[2] == 0);
  CHECK(rms_norm({.rows = 2, .hidden = 2, .x = x, .weight = {}, .eps = 0.25f})[0] ==
        Approx(3 / std::sqrt(12.75)));
  const auto naive =
      naive_rms_norm({.rows = 1, .hidden = 4, .x = x, .weight = weight, .eps = 0}, DType::bf16);
  const double error = std::abs(naive[1] - y[1]);
  CHECK(error > 0);
  CHECK(error < 0.02);
}

}  // namespace sprue::reference
