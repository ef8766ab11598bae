// What is trained, and how.
#pragma once

#include <cstdint>

namespace sprue::training {

struct BlockShape {
  std::int64_t batch = 4, seqlen = 256, vocab = 512, hidden = 256, heads = 4, kv_heads = 2, head_dim = 64;

  std::int64_t tokens() const { return batch * seqlen; }
  std::int64_t packed_heads() const { return heads + 2 * kv_heads; }
};

inline constexpr float kNormEps = 1e-6f;

struct AdamW {
  float rate = 1e-3f, beta1 = 0.9f, beta2 = 0.99f, eps = 1e-8f, decay = 0.01f;
};

struct Settings {
  BlockShape shape = {};
  AdamW adamw = {};
  int steps = 200;
};

/// Small enough for an interpreter.
inline constexpr Settings kSmall = {
    .shape = {.batch = 2, .seqlen = 24, .vocab = 40, .hidden = 64, .heads = 2, .kv_heads = 1, .head_dim = 64},
    .steps = 3};

}  // namespace sprue::training
