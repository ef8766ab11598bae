// Attention's gradients on the CPU against values worked out by hand and differences of attention itself.
#include "reference/attention_backward.h"

#include <cmath>
#include <functional>

#include "reference/random.h"
#include "support/catch.h"

namespace sprue::reference {
namespace {

/// Everything that attention reads, at random.
struct Problem {
  explicit Problem(const AttentionShape& s) : shape(s) {
    q = random_normal(s.q_elements(), 1, DType::f32);
    k = random_normal(s.k_elements(), 2, DType::f32);
    v = random_normal(s.v_elements(), 3, DType::f32);
    dout = random_normal(s.out_elements(), 4, DType::f32);
  }

  AttentionInputs inputs() const {
    AttentionInputs in{.q = q, .k = k, .v = v, .alibi_slopes = slopes, .sinks = sinks};
    in.bias = bias;
    in.bias.values = bias_values;
    return in;
  }
  double loss() const {
    const std::vector<double> out = attention(shape, inputs()).out;
    double sum = 0;
    for (std::size_t i = 0; i < out.size(); ++i) sum += out[i] * static_cast<double>(dout[i]);
    return sum;
  }
  /// Half the difference of the losses around a value, over the step.
  double slope(float& x) const {
    constexpr float kStep = 0x1p-7f;
    const float before = x;
    x = before + kStep;
    const double above = loss(), high = x;
    x = before - kStep;
    const double below = loss(), low = x;
    x = before;
    return (above - below) / (high - low);
  }

  AttentionShape shape;
  std::vector<float> q, k, v, dout, slopes, sinks, bias_values;
  BiasInput bias;
};

/// Compares every seventh element.
void check_gradient(const char* name, const Problem& problem, std::vector<float>& values,
                    const std::vector<double>& gradient) {
  REQUIRE(gradient.size() == values.size());
  for (std::size_t i = 0; i<values.size(); i += values.size()> 20 ? 7 : 1) {
    INFO(name << "[" << i << "]");
    CHECK(gradient[i] == Approx(problem.slope(values[i])).margin(2e-3).epsilon(2e-3));
  }
}

void check(Problem problem) {
  const Gradients<double> gradients = attention_backward(problem.shape, problem.inputs(), {problem.dout});
  check_gradient("dq", problem, problem.q, gradients.dq);
  check_gradient("dk", problem, problem.k, gradients.dk);
  check_gradient("dv", problem, problem.v, gradients.dv);
  check_gradient("dbias", problem, problem.bias_values, gradients.dbias);
  check_gradient("dslopes", problem, problem.slopes, gradients.dslopes);
  check_gradient("dsinks", problem, problem.sinks, gradients.dsinks);
}

AttentionShape one_channel(std::int64_t seqlen_q, std::int64_t seqlen_k) {
  return {.seqlen_q = seqlen_q, .seqlen_k = seqlen_k, .head_dim = 1, .head_dim_v = 1, .scale = 1};
}

AttentionShape small() {
  return {
      .batch = 2, .seqlen_q = 5, .seqlen_k = 7, .heads = 4, .kv_heads = 2, .head_dim = 8, .head_dim_v = 16};
}

}  // namespace

TEST_CASE("gradients over one key: its value gets what its queries get") {
  const AttentionShape shape{.seqlen_q = 2, .seqlen_k = 1, .head_dim = 1, .head_dim_v = 2, .scale = 2};
  const std::vector<float> q = {3, 4}, k = {5}, v = {6, 7}, dout = {1, 2, 10, 20};
  const auto gradients = attention_backward(shape, {q, k, v}, {dout});
  CHECK(gradients.dv == std::vector<double>{11, 22});
  CHECK(gradients.dq == std::vector<double>{0, 0});
  CHECK(gradients.dk == std::vector<double>{0});
  CHECK((gradients.dbias.empty() && gradients.dslopes.empty() && gradients.dsinks.empty()));
}

TEST_CASE("gradients over two keys of probabilities 1/4 and 3/4") {
  AttentionShape shape = one_channel(1, 2);
  const float ln3 = std::log(3.0f);
  const std::vector<float> q = {1}, k = {0, ln3}, v = {10, 20}, dout = {2};  // out is 17.5
  auto gradients = attention_backward(shape, {q, k, v}, {dout});
  CHECK(gradients.dv[0] == Approx(0.25 * 2));
  CHECK(gradients.dv[1] == Approx(0.75 * 2));
  CHECK(gradients.dk[0] == Approx(0.25 * 2 * (10 - 17.5)));
  CHECK(gradients.dk[1] == Approx(0.75 * 2 * (20 - 17.5)));
  CHECK(gradients.dq[0] == Approx(0.75 * 2 * (20 - 17.5) * ln3));
  const std::vector<float> out = {17};  // as a forward pass rounded it
  gradients = attention_backward(shape, {q, k, v}, {dout, out});
  CHECK(gradients.dk[0] == Approx(0.25 * 2 * (10 - 17)));
  shape.scale = 0;  // probabilities of 1/2
  gradients = attention_backward(shape, {q, k, v}, {dout});
  CHECK(gradients.dv[0] == Approx(1));
  CHECK(gradients.dk == std::vector<double>{0, 0});
}

TEST_CASE("gradients of a sink, a bias and a slope") {
  const AttentionShape shape = one_channel(1, 2);
  // Scores 0 and 0 and a sink of ln 2: probabilities 1/4, 1/4 and 1/2. The query stands at key 1.
  const std::vector<float> q = {1}, k = {1, 0}, v = {4, 8}, dout = {1}, slopes = {1},
                           sinks = {std::log(2.0f)};
  const std::vector<float> levels = {0, 0};
  const auto of = [&](const std::vector<float>& its_bias, std::int64_t keys) {
    return attention_backward(shape,
                              {.q = q,
                               .k = k,
                               .v = v,
                               .alibi_slopes = slopes,
                               .bias = {.values = its_bias, .keys = keys},
                               .sinks = sinks},
                              {dout});
  };
  const auto gradients = of(levels, 2);  // the slope takes 1 from key 0, whose score is 1
  const double ds0 = 0.25 * (4 - 3), ds1 = 0.25 * (8 - 3);
  CHECK(gradients.dbias[0] == Approx(ds0));
  CHECK(gradients.dbias[1] == Approx(ds1));
  CHECK(gradients.dslopes[0] == Approx(-ds0));
  CHECK(gradients.dsinks[0] == Approx(-0.5 * 3));
  CHECK(gradients.dbias[0] + gradients.dbias[1] + gradients.dsinks[0] == Approx(0).margin(1e-12));
}

TEST_CASE("queries that see no key and keys that no query sees have gradients of 0") {
  AttentionShape shape = one_channel(3, 2);
  shape.causal = true;  // query 0 sees nothing, query 1 key 0, query 2 both
  shape.batch = 2;
  shape.lengths_q = {3, 1};
  shape.lengths_k = {2, 1};
  std::vector<float> q(6, 1.0f), k(4, 0.0f), v = {1, 3, 5, NAN}, dout = {100, 1, 2, 7, NAN, NAN};
  q[4] = q[5] = k[3] = NAN;  // rows that no sequence has
  const auto gradients = attention_backward(shape, {q, k, v}, {dout});
  CHECK(gradients.dq == std::vector<double>{0, 0, 0, 0, 0, 0});
  CHECK(gradients.dv == std::vector<double>{1 + 0.5 * 2, 0.5 * 2, 7, 0});
  CHECK(gradients.dk[0] == Approx(0.5 * 2 * (1 - 2)));
  CHECK(gradients.dk[1] == Approx(0.5 * 2 * (3 - 2)));
  CHECK((gradients.dk[2] == 0 && gradients.dk[3] == 0));
}

TEST_CASE("heads that share keys add their gradients, sequences that share a bias theirs") {
  AttentionShape shape = one_channel(1, 2);
  shape.batch = 2;
  shape.heads = 2;
  const std::vector<float> q(4), k = {0, 0, 0, 0}, v = {1, 3, 1, 3}, dout = {1, 2, 4, 8}, bias = {0, 0};
  const auto gradients =
      attention_backward(shape, {.q = q, .k = k, .v = v, .bias = {.values = bias, .keys = 2}}, {dout});
  CHECK(gradients.dv == std::vector<double>{1.5, 1.5, 6, 6});
  CHECK(gradients.dbias == std::vector<double>{-0.5 * 15, 0.5 * 15});
}

TEST_CASE("attention's gradients are slopes of attention") {
  AttentionShape shape = small();
  check(Problem(shape));
  shape.causal = true;
  check(Problem(shape));
  std::swap(shape.seqlen_q, shape.seqlen_k);  // the first queries see no key
  check(Problem(shape));
}

TEST_CASE("attention's gradients with windows, chunks and lengths") {
  AttentionShape shape = small();
  shape.window_left = 2;
  shape.window_right = 1;
  check(Problem(shape));
  shape = small();
  shape.chunk = 3;
  check(Problem(shape));
  shape = small();
  shape.lengths_q = {3, 5};
  shape.lengths_k = {7, 0};
  check(Problem(shape));
}

TEST_CASE("attention's gradients through softcap, ALiBi, biases and sinks") {
  AttentionShape shape = small();
  shape.softcap = 1.5f;
  Problem problem(shape);
  problem.slopes = {0.5f, 0.25f, 0.125f, 1.0f};
  problem.sinks = {0.5f, -1.0f, 2.0f, 0.0f};
  for (const std::int64_t batch : {1, 2}) {
    for (const std::int64_t heads : {1, 4}) {
      for (const std::int64_t queries : {1, 5}) {
        problem.bias = {.batch = batch, .heads = heads, .queries = queries, .keys = 7};
        problem.bias_values = random_normal(batch * heads * queries * 7, 5, DType::f32);
        check(problem);
      }
    }
  }
  problem.slopes = random_normal(8, 6, DType::f32);  // per sequence
  check(problem);
}

TEST_CASE("attention's gradients with dropout") {
  AttentionShape shape = small();
  shape.dropout = {.probability = 0.3f, .seed = 7, .offset = 3};
  check(Problem(shape));
}

TEST_CASE("naive gradients of attention are near the true ones") {
  const Problem problem(small());
  const Gradients<double> truth = attention_backward(problem.shape, problem.inputs(), {problem.dout});
  const Gradients<float> naive =
      naive_attention_backward(problem.shape, problem.inputs(), {problem.dout}, DType::bf16);
  double error = 0;
  for (std::size_t i = 0; i < truth.dk.size(); ++i)
    error = std::max(error, std::abs(truth.dk[i] - naive.dk[i]));
  CHECK(error > 1e-4);
  CHECK(error < 0.1);
}

}  // namespace sprue::reference
