#include "training/data.h"

#include <cmath>
#include <random>

#include "reference/random.h"

namespace sprue::training {
namespace {

constexpr int kByOne = 5, kByTwo = 4, kRandom = 1;  // of ten tokens

/// The standard says what the engine draws; distributions it leaves open.
class Random {
 public:
  /// 0 to bound - 1.
  std::int64_t below(std::int64_t bound) {
    return static_cast<std::int64_t>(engine_() % static_cast<std::uint64_t>(bound));
  }

 private:
  std::mt19937 engine_;
};

std::vector<std::int64_t> sequence(Random& random, std::int64_t length, std::int64_t vocab) {
  std::vector<std::int64_t> tokens = {random.below(vocab), random.below(vocab)};
  while (static_cast<std::int64_t>(tokens.size()) < length) {
    const std::int64_t one = tokens.back(), two = tokens[tokens.size() - 2];
    const std::int64_t choice = random.below(kByOne + kByTwo + kRandom);
    if (choice < kByOne) {
      tokens.push_back((5 * one + 1) % vocab);
    } else if (choice < kByOne + kByTwo) {
      tokens.push_back((11 * two + 3) % vocab);
    } else {
      tokens.push_back(random.below(vocab));
    }
  }
  return tokens;
}

/// Of a choice that falls on `tokens` of ten, and then on one of `ways` alike.
double entropy(double tokens, double ways) {
  return -tokens / 10 * std::log(tokens / 10 / ways);
}

}  // namespace

std::vector<InitialWeight> initial_weights(const BlockShape& s) {
  std::uint64_t seed = 0;
  const auto matrix = [&](const char* name, std::int64_t to, std::int64_t from, double deviation) {
    return InitialWeight{
        name,
        {to, from},
        DType::bf16,
        reference::random_normal(to * from, ++seed, DType::f32, static_cast<float>(deviation))};
  };
  const auto norm = [&](const char* name) {
    InitialWeight weight{
        name, {s.hidden}, DType::f32, reference::random_normal(s.hidden, ++seed, DType::f32, 0.1f)};
    for (float& x : weight.values) x += 1;
    return weight;
  };
  const auto fan = [](std::int64_t from) { return 1 / std::sqrt(static_cast<double>(from)); };
  const std::int64_t value_columns = s.heads * s.head_dim;
  return {matrix("embedding", s.vocab, s.hidden, 1),
          norm("norm"),
          matrix("qkv", s.packed_heads() * s.head_dim, s.hidden, fan(s.hidden)),
          matrix("projection", s.hidden, value_columns, fan(value_columns)),
          norm("last_norm"),
          matrix("head", s.vocab, s.hidden, 0.5 * fan(s.hidden))};
}

Sequences sequences(const BlockShape& s, int steps) {
  Random random;
  Sequences result;
  for (std::int64_t i = 0; i < steps * s.batch; ++i) {
    const std::vector<std::int64_t> tokens = sequence(random, s.seqlen + 1, s.vocab);
    result.tokens.insert(result.tokens.end(), tokens.begin(), tokens.end() - 1);
    result.labels.insert(result.labels.end(), tokens.begin() + 1, tokens.end());
  }
  return result;
}

double best_loss(const BlockShape& s) {
  return entropy(kByOne, 1) + entropy(kByTwo, 1) + entropy(kRandom, static_cast<double>(s.vocab));
}

double best_loss_without_attention(const BlockShape& s) {
  return entropy(kByOne, 1) + entropy(kByTwo + kRandom, static_cast<double>(s.vocab));
}

}  // namespace sprue::training
