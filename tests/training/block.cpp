// Block: every operator is Sprue's but for products and the embedding.
#include "training/block.h"

namespace sprue::training {

using test::DeviceTensor;

namespace {

constexpr auto bf16 = DType::bf16, f32 = DType::f32;

}  // namespace

Block::Block(Runtime& runtime, const Kernels& kernels, const BlockShape& s)
    : runtime_(runtime),
      kernels_(kernels),
      shape_(s),
      cos_(f32, {s.seqlen, s.head_dim / 2}),
      sin_(f32, {s.seqlen, s.head_dim / 2}),
      x_(bf16, {s.batch, s.seqlen, s.hidden}),
      h_(bf16, {s.batch, s.seqlen, s.hidden}),
      qkv_(bf16, {s.batch, s.seqlen, s.packed_heads(), s.head_dim}),
      out_(bf16, {s.batch, s.seqlen, s.heads, s.head_dim}),
      lse_(f32, {s.batch, s.heads, s.seqlen}),
      projected_(bf16, {s.batch, s.seqlen, s.hidden}),
      z_(bf16, {s.batch, s.seqlen, s.hidden}),
      y_(bf16, {s.batch, s.seqlen, s.hidden}),
      logits_(bf16, {s.batch, s.seqlen, s.vocab}),
      dx_(bf16, {s.batch, s.seqlen, s.hidden}),
      dh_(bf16, {s.batch, s.seqlen, s.hidden}),
      dqkv_(bf16, {s.batch, s.seqlen, s.packed_heads(), s.head_dim}),
      dout_(bf16, {s.batch, s.seqlen, s.heads, s.head_dim}),
      dz_(bf16, {s.batch, s.seqlen, s.hidden}),
      dy_(bf16, {s.batch, s.seqlen, s.hidden}) {
  for (const InitialWeight& initial : initial_weights(s)) weights_.emplace_back(initial);
  const RopeTables tables = rope_tables(s.seqlen, s.head_dim);
  cos_.write(tables.cos);
  sin_.write(tables.sin);
}

void Block::forward(const ConstTensor& tokens, const ConstTensor& labels, const Tensor& loss) {
  const auto weight = [&](WeightName name) { return weights_[name].used(); };
  kernels_.embed(x_.tensor(), weight(kEmbedding), tokens);
  rms_norm(runtime_, {.y = h_.tensor(), .x = x_.tensor(), .weight = weight(kNorm), .eps = kNormEps});
  kernels_.matmul(rows(qkv_), rows(h_), transposed(weight(kQkv)));
  rope(runtime_, rope_call(qkv_, false));
  attention(runtime_, attention_call());
  kernels_.matmul(rows(projected_), rows(out_), transposed(weight(kProjection)));
  rms_norm(runtime_, {.y = y_.tensor(),
                      .x = projected_.tensor(),
                      .weight = weight(kLastNorm),
                      .eps = kNormEps,
                      .residual = x_.tensor(),
                      .residual_out = z_.tensor()});
  kernels_.matmul(rows(logits_), rows(y_), transposed(weight(kHead)));
  cross_entropy(runtime_,
                {.loss = loss, .logits = logits_.tensor(), .labels = labels, .dlogits = logits_.tensor()});
}

void Block::backward(const ConstTensor& tokens) {
  const auto weight = [&](WeightName name) { return weights_[name].used(); };
  const auto gradient = [&](WeightName name) { return weights_[name].gradient.tensor(); };
  // y = x w^T:   dw = dy^T x,   dx = dy w
  const auto product = [&](WeightName name, const Tensor& dx, const Tensor& x, const Tensor& dy) {
    kernels_.matmul(gradient(name), transposed(dy), x);
    kernels_.matmul(dx, dy, weight(name));
  };
  product(kHead, rows(dy_), rows(y_), rows(logits_));
  rms_norm_backward(runtime_, {.dx = dz_.tensor(),
                               .dy = dy_.tensor(),
                               .z = z_.tensor(),
                               .weight = weight(kLastNorm),
                               .dweight = gradient(kLastNorm),
                               .eps = kNormEps});
  product(kProjection, rows(dout_), rows(out_), rows(dz_));
  attention_backward(runtime_, {.dq = q(dqkv_),
                                .dk = k(dqkv_),
                                .dv = v(dqkv_),
                                .dout = dout_.tensor(),
                                .forward = attention_call(),
                                .deterministic = true});
  rope(runtime_, rope_call(dqkv_, true));
  product(kQkv, rows(dh_), rows(h_), rows(dqkv_));
  // x goes to the norm and past it, so its gradient is the sum of two.
  rms_norm_backward(runtime_, {.dx = dx_.tensor(),
                               .dy = dh_.tensor(),
                               .z = x_.tensor(),
                               .weight = weight(kNorm),
                               .dweight = gradient(kNorm),
                               .dresidual_out = dz_.tensor(),
                               .eps = kNormEps});
  kernels_.embed_backward(gradient(kEmbedding), rows(dx_), tokens);
}

Attention Block::attention_call() const {
  return {
      .out = out_.tensor(), .q = q(qkv_), .k = k(qkv_), .v = v(qkv_), .lse = lse_.tensor(), .causal = true};
}

Rope Block::rope_call(const DeviceTensor& packed, bool conjugate) const {
  return {.y = q(packed),
          .x = q(packed),
          .cos = cos_.tensor(),
          .sin = sin_.tensor(),
          .y_k = k(packed),
          .x_k = k(packed),
          .conjugate = conjugate};
}

Tensor Block::heads(const DeviceTensor& packed, std::int64_t first, std::int64_t count) const {
  Tensor slice = packed.tensor();
  slice.data = static_cast<std::byte*>(slice.data) +
               first * slice.extents.stride[2] * static_cast<std::int64_t>(size_of(slice.dtype));
  slice.extents.shape[2] = count;
  return slice;
}

Tensor Block::rows(const DeviceTensor& tensor) const {
  const Tensor whole = tensor.tensor();
  return {whole.data, whole.dtype, {shape_.tokens(), whole.extents.elements() / shape_.tokens()}};
}

}  // namespace sprue::training
