// attention on the GPU against double precision: shapes, head dimensions, masks, layouts, scales.
#include <cmath>

#include "driver/device.h"
#include "ops/attention_call.h"
#include "ops/fixture.h"
#include "reference/compare.h"
#include "reference/random.h"
#include "support/catch.h"
#include "support/gpu.h"

namespace sprue::test {
namespace {

constexpr std::int64_t kLengths[] = {1, 7, 63, 64, 65, 113, 127, 128, 129, 191, 192, 193, 257, 1023, 2049};

DType alternate(std::int64_t i) {
  return i % 2 == 0 ? DType::bf16 : DType::f16;
}

std::vector<AttentionCase> every_length() {
  std::vector<AttentionCase> cases;
  for (const bool causal : {false, true}) {
    for (const std::int64_t length : kLengths) {
      for (const std::int64_t head_dim : {64, 128}) {
        AttentionCase c =
            sequences(length, length, head_dim, causal, head_dim == 64 ? DType::bf16 : DType::f16);
        if (length > 1000) c.shape.batch = c.shape.heads = c.shape.kv_heads = 1;
        cases.push_back(c);
      }
    }
  }
  return cases;
}

std::vector<AttentionCase> unequal_lengths() {
  constexpr std::int64_t kPairs[][2] = {{1, 1023}, {7, 65},  {64, 1023}, {113, 257}, {128, 129}, {2, 1},
                                        {65, 7},   {129, 1}, {257, 113}, {1023, 64}, {300, 128}};
  std::vector<AttentionCase> cases;
  for (const bool causal : {false, true}) {
    for (const auto& [seqlen_q, seqlen_k] : kPairs) {
      cases.push_back(sequences(seqlen_q, seqlen_k, 64, causal, DType::bf16));
      cases.push_back(sequences(seqlen_q, seqlen_k, 128, causal, DType::f16));
    }
  }
  return cases;
}

std::vector<AttentionCase> every_head_dim() {
  std::vector<AttentionCase> cases;
  for (std::int64_t n = 1; n <= 32; ++n) {  // both types, both masks, odd and even multiples of 8
    const bool causal = n / 2 % 2 == 1;
    AttentionCase c = sequences(causal ? 195 : 130, causal ? 130 : 195, 8 * n, causal, alternate(n / 4 + n));
    cases.push_back(c);
  }
  return cases;
}

std::vector<AttentionCase> other_values() {
  constexpr std::int64_t kPairs[][2] = {{64, 128}, {128, 64}, {192, 128}, {8, 256},
                                        {256, 8},  {72, 40},  {40, 104},  {24, 16}};
  std::vector<AttentionCase> cases;
  for (const auto& [head_dim, head_dim_v] : kPairs) {
    const auto n = static_cast<std::int64_t>(cases.size());
    AttentionCase c = sequences(99, 131, head_dim, n / 2 % 2 == 1, alternate(n));
    c.shape.head_dim_v = head_dim_v;
    cases.push_back(c);
  }
  return cases;
}

std::vector<AttentionCase> shared_heads() {
  constexpr std::int64_t kHeads[][2] = {{1, 1}, {4, 2}, {6, 3}, {8, 1}, {5, 5}, {32, 4}};
  std::vector<AttentionCase> cases;
  for (const auto& [heads, kv_heads] : kHeads) {
    AttentionCase c = sequences(77, 100, 64, heads % 2 == 0, DType::bf16);
    c.shape.heads = heads;
    c.shape.kv_heads = kv_heads;
    cases.push_back(c);
  }
  return cases;
}

std::vector<AttentionCase> layouts() {
  const std::vector<int> heads_first = {0, 2, 1, 3}, sequence_first = {1, 0, 2, 3};
  const Layout layouts[] = {{.order = heads_first},
                            {.order = sequence_first},
                            {.padding = 8},
                            {.order = heads_first, .padding = 24},
                            {.padding = 4},
                            {.padding = 2},
                            {.padding = 1},
                            {.offset = 4},
                            {.offset = 2},
                            {.offset = 1},
                            {.order = heads_first, .padding = 3, .offset = 5}};
  std::vector<AttentionCase> cases;
  for (const Layout& layout : layouts) {
    for (const std::int64_t head_dim : {64, 72}) {
      AttentionCase c = sequences(129, 200, head_dim, head_dim == 64, alternate(head_dim / 8));
      c.layout = layout;
      c.lse_layout = {.order = {0, 2, 1}};
      cases.push_back(c);
    }
  }
  return cases;
}

std::vector<AttentionCase> scales() {
  std::vector<AttentionCase> cases;
  for (const bool causal : {false, true}) {
    for (const std::int64_t head_dim : {64, 128, 256}) {
      AttentionCase c = sequences(140, 270, head_dim, causal, head_dim == 64 ? DType::bf16 : DType::f16);
      for (const float scale : {0.01f, 0.5f, 1.0f}) {
        c.shape.scale = scale;
        cases.push_back(c);
      }
      c.shape.scale = NAN;
      c.magnitude = 50;
      cases.push_back(c);
    }
  }
  return cases;
}

const Ahead kAhead({every_length, unequal_lengths, every_head_dim, other_values, shared_heads, layouts,
                    scales});

}  // namespace

TEST_CASE("attention: sequences of every length, both masks", "[gpu]") {
  SKIP_WITHOUT_GPU();
  check_all(shared_runtime(), every_length());
}

TEST_CASE("attention: more queries than keys, and more keys than queries", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  check_all(shared_runtime(), unequal_lengths());
}

TEST_CASE("attention: no keys give out 0 and lse -infinity", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  check_all(shared_runtime(),
            {sequences(70, 0, 64, false, DType::bf16), sequences(70, 0, 64, true, DType::bf16)});
}

TEST_CASE("attention: nothing to compute is no launch", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  Runtime& runtime = shared_runtime();
  AttentionCase no_queries = sequences(0, 64, 64, false, DType::bf16),
                no_batch = sequences(64, 64, 64, true, DType::bf16);
  no_batch.shape.batch = 0;
  const auto before = runtime.counters().launches;
  CHECK(fault_of(runtime, no_queries) == "");
  CHECK(fault_of(runtime, no_batch) == "");
  CHECK(runtime.counters().launches == before);
}

TEST_CASE("attention: every head dimension", "[gpu]") {
  SKIP_WITHOUT_GPU();
  check_all(shared_runtime(), every_head_dim());
}

TEST_CASE("attention: values of another dimension than keys", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  check_all(shared_runtime(), other_values());
}

TEST_CASE("attention: heads that share keys and values", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  check_all(shared_runtime(), shared_heads());
}

TEST_CASE("attention: several sections of heads", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  std::vector<AttentionCase> cases;
  for (const bool causal : {true, false}) {
    AttentionCase c = sequences(150, 170, 32, causal, DType::bf16);
    c.shape.batch = 8;  // 48 heads: 20 and 28 if causal, else five times 8 and 8
    c.shape.heads = 6;
    c.shape.kv_heads = 3;
    cases.push_back(c);
    c.shape.batch = 5;  // 15 heads of their own keys
    c.shape.heads = c.shape.kv_heads = 3;
    cases.push_back(c);
  }
  check_all(shared_runtime(), cases);
}

TEST_CASE("attention: layouts, padded strides and misaligned addresses", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  check_all(shared_runtime(), layouts());
}

TEST_CASE("attention: packed q, k and v are views of one tensor", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  const AttentionCase c = sequences(113, 113, 64, true, DType::f16);
  const auto& s = c.shape;
  const std::int64_t row = s.heads * s.head_dim;
  const auto values = reference::random_normal(s.batch * s.seqlen_q * 3 * row, 5, c.dtype);
  DeviceTensor packed(c.dtype, {s.batch, s.seqlen_q, 3, s.heads, s.head_dim});
  DeviceTensor out(c.dtype, {s.batch, s.seqlen_q, s.heads, s.head_dim});
  packed.write(values);

  std::vector<float> parts[3];
  ConstTensor views[3];
  for (int part = 0; part < 3; ++part) {
    for (std::int64_t token = 0; token < s.batch * s.seqlen_q; ++token) {
      const auto first = values.begin() + (3 * token + part) * row;
      parts[part].insert(parts[part].end(), first, first + row);
    }
    views[part] = ConstTensor(static_cast<const char*>(packed.tensor().data) + 2 * part * row, c.dtype,
                              {s.batch, s.seqlen_q, s.heads, s.head_dim},
                              {s.seqlen_q * 3 * row, 3 * row, s.head_dim, 1});
  }
  attention(shared_runtime(),
            {.out = out.tensor(), .q = views[0], .k = views[1], .v = views[2], .causal = true});
  const reference::AttentionInputs in{parts[0], parts[1], parts[2]};
  const auto comparison = reference::compare(out.read(), reference::attention(s, in).out,
                                             reference::naive_attention(s, in, c.dtype));
  INFO(comparison.print());
  CHECK(comparison.passed());
  CHECK(packed.intact());
  CHECK(out.intact());
}

TEST_CASE("attention: without lse", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  AttentionCase c = sequences(200, 150, 64, true, DType::bf16);
  c.lse = false;
  check_all(shared_runtime(), {c});
}

TEST_CASE("attention: scales and large scores", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  check_all(shared_runtime(), scales());
}

}  // namespace sprue::test
