// The block's loss on the CPU in double precision, by loops that share nothing with the tested code.
#pragma once

#include <span>
#include <vector>

#include "training/settings.h"

namespace sprue::training {

/// `weights` are values in the order of WeightName; tokens and labels [batch, seqlen].
double exact_loss(const BlockShape& shape, const std::vector<std::vector<double>>& weights,
                  std::span<const float> tokens, std::span<const float> labels);

}  // namespace sprue::training
