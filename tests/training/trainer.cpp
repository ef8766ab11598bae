// Trainer: the data of all steps lie on the device before the first.
#include "training/trainer.h"

namespace sprue::training {

Trainer::Trainer(Runtime& runtime, const Settings& settings)
    : settings_(settings),
      kernels_(runtime),
      block_(runtime, kernels_, settings.shape),
      tokens_(DType::i32, {settings.steps, settings.shape.batch, settings.shape.seqlen}),
      labels_(DType::i32, {settings.steps, settings.shape.batch, settings.shape.seqlen}),
      losses_(DType::f32, {settings.steps}) {
  const Sequences data = sequences(settings.shape, settings.steps);
  tokens_.write(data.tokens);
  labels_.write(data.labels);
}

void Trainer::differentiate() {
  const Tensor losses = losses_.tensor();
  const ConstTensor tokens = of_step(tokens_);
  block_.forward(tokens, of_step(labels_), {static_cast<float*>(losses.data) + step_, DType::f32, {1}});
  block_.backward(tokens);
}

void Trainer::update() {
  ++step_;
  for (Weight& weight : weights()) kernels_.adamw(weight, settings_.adamw, step_);
}

std::vector<float> Trainer::losses() const {
  return losses_.read();
}

ConstTensor Trainer::of_step(const test::DeviceTensor& all) const {
  const auto& s = settings_.shape;
  const auto* const data = static_cast<const std::int32_t*>(all.tensor().data);
  return {data + step_ * s.tokens(), DType::i32, {s.batch, s.seqlen}};
}

std::vector<float> train(Runtime& runtime, const Settings& settings) {
  Trainer trainer(runtime, settings);
  for (int step = 0; step < settings.steps; ++step) {
    trainer.differentiate();
    trainer.update();
  }
  return trainer.losses();
}

}  // namespace sprue::training
