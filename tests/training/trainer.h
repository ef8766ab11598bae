// Trainer: a block, its data and its optimiser.
#pragma once

#include <vector>

#include "training/block.h"

namespace sprue::training {

class Trainer {
 public:
  Trainer(Runtime& runtime, const Settings& settings);
  Trainer(const Trainer&) = delete;
  Trainer& operator=(const Trainer&) = delete;

  /// The forward and the backward pass of the next step. Waits for nothing.
  void differentiate();
  /// The update that ends it.
  void update();

  /// Of the steps that differentiate() was called for.
  std::vector<float> losses() const;
  /// In the order of WeightName.
  std::vector<Weight>& weights() { return block_.weights(); }

 private:
  ConstTensor of_step(const test::DeviceTensor& all) const;

  Settings settings_;
  Kernels kernels_;
  Block block_;
  test::DeviceTensor tokens_, labels_, losses_;
  int step_ = 0;
};

/// The loss of every step.
std::vector<float> train(Runtime& runtime, const Settings& settings);

}  // namespace sprue::training
