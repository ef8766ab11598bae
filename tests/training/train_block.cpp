// train_block DIRECTORY [small]: trains the block and leaves what it started from and its losses there, for
// compare_curves.py.
#include <fmt/format.h>

#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>

#include "npy.h"
#include "reference/scalar.h"
#include "training/trainer.h"

namespace {

using namespace sprue;
using namespace sprue::training;
using Path = std::filesystem::path;

void write(const Path& file, const std::vector<std::int64_t>& shape, DType dtype,
           std::span<const float> values) {
  tools::write_npy(file, {dtype, shape, reference::narrow(values, dtype)});
}

void write_settings(const Path& file, const Settings& s) {
  std::ofstream(file) << fmt::format(
      R"({{"heads": {}, "kv_heads": {}, "head_dim": {}, "norm_eps": {}, "rate": {}, "beta1": {}, "beta2": {}, )"
      R"("eps": {}, "decay": {}}})",
      s.shape.heads, s.shape.kv_heads, s.shape.head_dim, kNormEps, s.adamw.rate, s.adamw.beta1, s.adamw.beta2,
      s.adamw.eps, s.adamw.decay);
}

void run(const Path& directory, const Settings& settings) {
  const BlockShape& s = settings.shape;
  write_settings(directory / "settings.json", settings);
  for (const InitialWeight& weight : initial_weights(s)) {
    write(directory / (weight.name + ".npy"), weight.shape, DType::f32, weight.values);
  }
  const Sequences data = sequences(s, settings.steps);
  write(directory / "tokens.npy", {settings.steps, s.batch, s.seqlen}, DType::i32, data.tokens);
  write(directory / "labels.npy", {settings.steps, s.batch, s.seqlen}, DType::i32, data.labels);
  Runtime runtime;
  write(directory / "losses.npy", {settings.steps}, DType::f32, train(runtime, settings));
}

}  // namespace

int main(int argc, char** argv) {
  const bool small = argc == 3 && std::strcmp(argv[2], "small") == 0;
  if (argc != 2 && !small) {
    fmt::print(stderr, "usage: train_block DIRECTORY [small]\n");
    return 2;
  }
  try {
    run(argv[1], small ? kSmall : Settings{});
  } catch (const std::exception& error) {
    fmt::print(stderr, "train_block: {}\n", error.what());
    return 1;
  }
  return 0;
}
