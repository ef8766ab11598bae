// Attention's gradients on the CPU against differences of attention itself.
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

AttentionShape small() {
  return {
      .batch = 2, .seqlen_q = 5, .seqlen_k = 7, .heads = 4, .kv_heads = 2, .head_dim = 8, .head_dim_v = 16};
}

}  // namespace

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
