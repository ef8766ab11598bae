// A transformer block trained with Sprue: its gradients and updates are right, and its loss falls.
#include <cmath>
#include <numeric>

#include "ops/fixture.h"
#include "reference/scalar.h"
#include "support/catch.h"
#include "support/gpu.h"
#include "training/exact_loss.h"
#include "training/trainer.h"

namespace sprue::training {
namespace {

using Exact = std::vector<std::vector<double>>;  // in the order of WeightName

/// As the kernels read them.
Exact used_weights(const std::vector<Weight>& weights) {
  Exact values;
  for (const Weight& weight : weights) {
    const std::vector<float> used = (weight.copy ? *weight.copy : weight.master).read();
    values.emplace_back(used.begin(), used.end());
  }
  return values;
}

std::vector<std::vector<float>> gradients(const std::vector<Weight>& weights) {
  std::vector<std::vector<float>> values;
  for (const Weight& weight : weights) values.push_back(weight.gradient.read());
  return values;
}

/// The exact loss in one step of the small training.
double loss_of(const Exact& weights, int step) {
  const Sequences all = sequences(kSmall.shape, kSmall.steps);
  const auto count = static_cast<std::size_t>(kSmall.shape.tokens()),
             first = count * static_cast<std::size_t>(step);
  return exact_loss(kSmall.shape, weights, std::span(all.tokens).subspan(first, count),
                    std::span(all.labels).subspan(first, count));
}

/// Of a gradient in step 0, over 100 of its elements: the norm of the difference over that of the truth,
/// which comes from differences of the loss.
double gradient_error(Exact weights, std::size_t name, const std::vector<float>& gradient) {
  constexpr double kStep = 1e-3;
  double error = 0, size = 0;
  for (std::size_t sample = 0; sample < 100; ++sample) {
    const std::size_t i = sample * 7919 % gradient.size();
    double& weight = weights[name][i];
    const double kept = weight;
    weight = kept + kStep;
    const double above = loss_of(weights, 0);
    weight = kept - kStep;
    const double below = loss_of(weights, 0);
    weight = kept;
    const double truth = (above - below) / (2 * kStep);
    error += (gradient[i] - truth) * (gradient[i] - truth);
    size += truth * truth;
  }
  return std::sqrt(error / size);
}

/// AdamW in double precision, for one weight.
struct ExactAdamW {
  std::vector<double> mean, square;

  /// What `before` becomes in the step, which counts from 1.
  std::vector<double> updated(const std::vector<float>& before, const std::vector<float>& gradient,
                              int step) {
    const AdamW& o = kSmall.adamw;
    mean.resize(before.size());
    square.resize(before.size());
    std::vector<double> after;
    for (std::size_t i = 0; i < before.size(); ++i) {
      const double g = gradient[i];
      mean[i] = o.beta1 * mean[i] + (1 - o.beta1) * g;
      square[i] = o.beta2 * square[i] + (1 - o.beta2) * g * g;
      const double m = mean[i] / (1 - std::pow(o.beta1, step)), v = square[i] / (1 - std::pow(o.beta2, step));
      after.push_back(before[i] - o.rate * (m / (std::sqrt(v) + o.eps) + o.decay * before[i]));
    }
    return after;
  }
};

double largest_difference(const std::vector<float>& values, const std::vector<double>& truth) {
  double largest = 0;
  for (std::size_t i = 0; i < values.size(); ++i) largest = std::max(largest, std::abs(values[i] - truth[i]));
  return largest;
}

}  // namespace

TEST_CASE("training: gradients of every weight agree with differences of the exact loss", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  Trainer trainer(test::shared_runtime(), kSmall);
  trainer.differentiate();
  const Exact weights = used_weights(trainer.weights());
  const auto computed = gradients(trainer.weights());
  std::vector<double> errors(kWeights);
  test::in_parallel(kWeights, [&](std::size_t i) { errors[i] = gradient_error(weights, i, computed[i]); });
  const std::vector<InitialWeight> names = initial_weights(kSmall.shape);
  for (std::size_t i = 0; i < kWeights; ++i) {
    INFO(names[i].name);
    CHECK(errors[i] < 0.02);
  }
}

TEST_CASE("training: each loss is that of the weights, each update is AdamW's", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  Trainer trainer(test::shared_runtime(), kSmall);
  const std::vector<Weight>& weights = trainer.weights();
  std::vector<ExactAdamW> exact(kWeights);
  for (int step = 0; step < kSmall.steps; ++step) {
    trainer.differentiate();
    CHECK(trainer.losses()[static_cast<std::size_t>(step)] ==
          Approx(loss_of(used_weights(weights), step)).epsilon(2e-3));
    const auto computed = gradients(weights);
    std::vector<std::vector<float>> before;
    for (const Weight& weight : weights) before.push_back(weight.master.read());
    trainer.update();
    for (std::size_t i = 0; i < kWeights; ++i) {
      INFO("step " << step << ", weight " << i);
      const std::vector<float> after = weights[i].master.read();
      CHECK(largest_difference(after, exact[i].updated(before[i], computed[i], step + 1)) <
            1e-3 * kSmall.adamw.rate);
      if (weights[i].copy) {
        const bool copied = weights[i].copy->read_bytes() == reference::narrow(after, DType::bf16);
        CHECK(copied);
      }
    }
  }
}

TEST_CASE("training: 200 steps learn, and come out the same again", "[gpu]") {
  SKIP_WITHOUT_GPU();
  const Settings settings;
  const std::vector<float> losses = train(test::shared_runtime(), settings);
  for (const float loss : losses) REQUIRE(std::isfinite(loss));
  const double last = std::accumulate(losses.end() - 10, losses.end(), 0.0) / 10;
  CHECK(losses.front() == Approx(std::log(settings.shape.vocab)).epsilon(0.1));
  CHECK(last < best_loss_without_attention(settings.shape) - 1);
  CHECK(last > best_loss(settings.shape));
  CHECK(train(test::shared_runtime(), settings) == losses);
}

}  // namespace sprue::training
