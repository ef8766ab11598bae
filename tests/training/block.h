// Block: a transformer block with one layer of attention, its weights and what it keeps between its two
// passes.
#pragma once

#include <vector>

#include "sprue/ops.h"
#include "support/device_tensor.h"
#include "training/data.h"
#include "training/kernels.h"

namespace sprue::training {

/// With N an rms_norm, R rope, A causal attention, and rows of x being embeddings of tokens:
///
///   q, k, v = qkv N(x),   z = x + projection A(R(q), R(k), v),   loss = cross_entropy(head N'(z), labels)
class Block {
 public:
  Block(Runtime& runtime, const Kernels& kernels, const BlockShape& shape);

  /// tokens and labels [batch, seqlen], i32; loss [1], f32.
  void forward(const ConstTensor& tokens, const ConstTensor& labels, const Tensor& loss);
  /// The gradients of what forward() was given last, to weights()[i].gradient.
  void backward(const ConstTensor& tokens);

  /// In the order of WeightName.
  std::vector<Weight>& weights() { return weights_; }

 private:
  Attention attention_call() const;
  /// Heads of a tensor [batch, seqlen, packed heads, head_dim].
  Tensor heads(const test::DeviceTensor& packed, std::int64_t first, std::int64_t count) const;
  Tensor q(const test::DeviceTensor& packed) const { return heads(packed, 0, shape_.heads); }
  Tensor k(const test::DeviceTensor& packed) const { return heads(packed, shape_.heads, shape_.kv_heads); }
  Tensor v(const test::DeviceTensor& packed) const {
    return heads(packed, shape_.heads + shape_.kv_heads, shape_.kv_heads);
  }
  /// A row for each token.
  Tensor rows(const test::DeviceTensor& tensor) const;
  Rope rope_call(const test::DeviceTensor& packed, bool conjugate) const;

  Runtime& runtime_;
  const Kernels& kernels_;
  BlockShape shape_;
  std::vector<Weight> weights_;
  test::DeviceTensor cos_, sin_;
  test::DeviceTensor x_, h_, qkv_, out_, lse_, projected_, z_, y_, logits_;  // logits_ become dlogits
  test::DeviceTensor dx_, dh_, dqkv_, dout_, dz_, dy_;
};

}  // namespace sprue::training
