// What training starts from, the same in every run: weights and sequences of tokens.
#pragma once

#include <vector>

#include "training/settings.h"
#include "training/weight.h"

namespace sprue::training {

enum WeightName { kEmbedding, kNorm, kQkv, kProjection, kLastNorm, kHead, kWeights };

/// In the order of WeightName. Matrices are [to, from], as in PyTorch.
std::vector<InitialWeight> initial_weights(const BlockShape& shape);

/// [steps, batch, seqlen]; a label is the token that follows.
struct Sequences {
  std::vector<float> tokens, labels;
};

/// Of ten tokens five follow from the one before them, four from the one before that, which attention must
/// find, and one is random.
Sequences sequences(const BlockShape& shape, int steps);
/// The entropy of a token given all before it: no prediction is better.
double best_loss(const BlockShape& shape);
/// That of a token given one before it, which takes no attention.
double best_loss_without_attention(const BlockShape& shape);

}  // namespace sprue::training
