// AttentionCall: tensors, call and comparison.
#include "ops/attention_call.h"

#include <fmt/format.h>

#include "driver/device.h"
#include "ops/fixture.h"
#include "reference/compare.h"
#include "reference/random.h"
#include "support/catch.h"

namespace sprue::test {
namespace {

std::vector<std::int64_t> q_shape(const AttentionCase& c) {
  return {c.shape.batch, c.shape.seqlen_q, c.shape.heads, c.shape.head_dim};
}
std::vector<std::int64_t> k_shape(const AttentionCase& c) {
  return {c.shape.batch, c.shape.seqlen_k, c.shape.kv_heads, c.shape.head_dim};
}
std::vector<std::int64_t> v_shape(const AttentionCase& c) {
  return {c.shape.batch, c.shape.seqlen_k, c.shape.kv_heads, c.shape.head_dim_v};
}
std::vector<std::int64_t> out_shape(const AttentionCase& c) {
  return {c.shape.batch, c.shape.seqlen_q, c.shape.heads, c.shape.head_dim_v};
}
std::vector<std::int64_t> lse_shape(const AttentionCase& c) {
  return {c.shape.batch, c.shape.heads, c.shape.seqlen_q};
}

}  // namespace

std::string AttentionCase::print() const {
  return fmt::format("{}, {}{}, offset {}, padding {}, {} order, magnitude {}", shape.print(), name_of(dtype),
                     lse ? ", lse" : "", layout.offset, layout.padding,
                     layout.order.empty() ? "usual" : "other", magnitude);
}

AttentionCase sequences(std::int64_t seqlen_q, std::int64_t seqlen_k, std::int64_t head_dim, bool causal,
                        DType dtype) {
  return {.shape = {.batch = 2,
                    .seqlen_q = seqlen_q,
                    .seqlen_k = seqlen_k,
                    .heads = 3,
                    .kv_heads = 3,
                    .head_dim = head_dim,
                    .head_dim_v = head_dim,
                    .causal = causal},
          .dtype = dtype};
}

Attention call_of(const AttentionCase& c) {
  std::uintptr_t region = 0;
  const auto tensor = [&](DType dtype, const std::vector<std::int64_t>& shape, const Layout& layout) {
    region += std::uintptr_t{1} << 40;  // far from the others
    const std::uintptr_t address = region + static_cast<std::size_t>(layout.offset) * size_of(dtype);
    return Tensor(reinterpret_cast<void*>(address), dtype, extents_of(shape, layout));
  };
  Attention args{.out = tensor(c.dtype, out_shape(c), c.layout),
                 .q = tensor(c.dtype, q_shape(c), c.layout),
                 .k = tensor(c.dtype, k_shape(c), c.layout),
                 .v = tensor(c.dtype, v_shape(c), c.layout),
                 .causal = c.shape.causal,
                 .scale = c.shape.scale};
  if (c.lse) args.lse = tensor(DType::f32, lse_shape(c), c.lse_layout);
  return args;
}

AttentionCall::AttentionCall(const AttentionCase& c)
    : case_(c),
      q_values_(reference::random_normal(c.shape.q_elements(), 1, c.dtype, c.magnitude)),
      k_values_(reference::random_normal(c.shape.k_elements(), 2, c.dtype)),
      v_values_(reference::random_normal(c.shape.v_elements(), 3, c.dtype)),
      q_(c.dtype, q_shape(c), c.layout),
      k_(c.dtype, k_shape(c), c.layout),
      v_(c.dtype, v_shape(c), c.layout),
      out_(c.dtype, out_shape(c), c.layout),
      lse_(DType::f32, lse_shape(c), c.lse_layout) {
  q_.write(q_values_);
  k_.write(k_values_);
  v_.write(v_values_);
}

Attention AttentionCall::args() const {
  Attention args{.out = out_.tensor(),
                 .q = q_.tensor(),
                 .k = k_.tensor(),
                 .v = v_.tensor(),
                 .causal = case_.shape.causal,
                 .scale = case_.shape.scale};
  if (case_.lse) args.lse = lse_.tensor();
  return args;
}

void AttentionCall::poison() {
  out_.poison();
  lse_.poison();
}

std::string AttentionCall::fault() const {
  const reference::AttentionInputs in{q_values_, k_values_, v_values_};
  const reference::AttentionResult truth = reference::attention(case_.shape, in);
  const auto naive = reference::naive_attention(case_.shape, in, case_.dtype);
  const reference::Comparison out = reference::compare(out_.read(), truth.out, naive);
  if (!out.passed()) return "out: " + out.print();
  if (case_.lse) {
    const reference::Comparison lse = reference::compare(lse_.read(), truth.lse, 1e-3);
    if (!lse.passed()) return "lse: " + lse.print();
  }
  for (const DeviceTensor* tensor : {&q_, &k_, &v_, &out_, &lse_}) {
    if (!tensor->intact()) return "something was written outside of a tensor";
  }
  return "";
}

std::vector<std::byte> AttentionCall::result_bytes() const {
  std::vector<std::byte> bytes = out_.read_bytes();
  const std::vector<std::byte> lse = lse_.read_bytes();
  bytes.insert(bytes.end(), lse.begin(), lse.end());
  return bytes;
}

std::string fault_of(Runtime& runtime, const AttentionCase& c) {
  AttentionCall call(c);
  call.run(runtime);
  driver::synchronize_device();
  return call.fault();
}

void check_all(Runtime& runtime, const std::vector<AttentionCase>& cases) {
  std::vector<Attention> calls;
  for (const AttentionCase& c : cases) calls.push_back(call_of(c));
  prepare_all(runtime, calls);
  for (const AttentionCase& c : cases) {
    INFO(c.print());
    CHECK(fault_of(runtime, c) == "");
  }
}

}  // namespace sprue::test
