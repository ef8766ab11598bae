// attention on the GPU: every feature alone, with every length, without and with a causal mask.
#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/attention_call.h"
#include "ops/fixture.h"
#include "support/catch.h"
#include "support/gpu.h"

namespace sprue::test {
namespace {

constexpr std::int64_t kFar = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kSizes[][2] = {{1, 1},       {1, 65},    {63, 64},    {64, 63},
                                      {65, 129},    {113, 113}, {129, 1023}, {1023, 129},
                                      {1023, 1023}, {1, 2049},  {2049, 2049}};

/// bf16 without a causal mask, f16 with one: every feature alone needs two kernels of a family.
DType type_of(bool causal) {
  return causal ? DType::f16 : DType::bf16;
}

/// Adds the case at every size and with both masks. Sequences of more than 1024 queries of narrow heads would
/// need kernels of their own; attention_gpu_test.cpp has those.
void add_everywhere(std::vector<AttentionCase>& cases, AttentionCase c) {
  for (const bool causal : {false, true}) {
    c.shape.causal = causal;
    c.dtype = type_of(causal);
    if (c.bias.given && c.bias.dtype != DType::f32) c.bias.dtype = c.dtype;
    for (const auto& [seqlen_q, seqlen_k] : kSizes) {
      if (seqlen_q > 1024 && c.shape.head_dim <= 96) continue;
      c.shape.batch = 2;
      c.shape.heads = c.shape.kv_heads = 3;
      c.shape.seqlen_q = seqlen_q;
      c.shape.seqlen_k = seqlen_k;
      if (seqlen_q * seqlen_k > 1'000'000) c.shape.batch = c.shape.heads = c.shape.kv_heads = 1;
      cases.push_back(c);
    }
  }
}

AttentionCase base(std::int64_t head_dim = 64) {
  return sequences(1, 1, head_dim, false, DType::bf16);
}

std::vector<AttentionCase> windows() {
  constexpr std::int64_t kWindows[][2] = {{-1, 0},  {0, -1},  {0, 0},       {3, 5},    {64, -1},
                                          {-1, 17}, {100, 0}, {1000, 1000}, {kFar, 3}, {2, kFar}};
  constexpr std::int64_t kPairs[][2] = {{113, 113}, {65, 257}, {257, 65}, {1, 300}, {385, 385}};
  std::vector<AttentionCase> cases;
  for (const bool causal : {false, true}) {
    for (const auto& [left, right] : kWindows) {
      for (const auto& [seqlen_q, seqlen_k] : kPairs) {
        AttentionCase c = sequences(seqlen_q, seqlen_k, 64, causal, type_of(causal));
        c.shape.window_left = left;
        c.shape.window_right = right;
        cases.push_back(c);
      }
    }
  }
  AttentionCase c = base(128);
  c.shape.window_left = 100;
  c.shape.window_right = 30;
  add_everywhere(cases, c);
  return cases;
}

std::vector<AttentionCase> chunks() {
  constexpr std::int64_t kPairs[][2] = {{113, 113}, {65, 257}, {257, 65}, {1, 300}};
  std::vector<AttentionCase> cases;
  for (const bool causal : {false, true}) {
    for (const std::int64_t chunk :
         {std::int64_t{1}, std::int64_t{7}, std::int64_t{64}, std::int64_t{100}, kFar}) {
      for (const auto& [seqlen_q, seqlen_k] : kPairs) {
        AttentionCase c = sequences(seqlen_q, seqlen_k, 64, causal, type_of(causal));
        c.shape.chunk = chunk;
        cases.push_back(c);
      }
    }
  }
  AttentionCase c = base();
  c.shape.chunk = 96;
  add_everywhere(cases, c);
  c.shape.chunk = 128;
  c.shape.window_left = 50;
  add_everywhere(cases, c);
  return cases;
}

std::vector<AttentionCase> softcaps() {
  std::vector<AttentionCase> cases;
  AttentionCase c = base();
  c.shape.softcap = 15;
  add_everywhere(cases, c);
  for (const float softcap : {1.0f, 5.0f, 50.0f, 64.0f, 80.0f}) {
    for (const bool causal : {false, true}) {
      for (const float magnitude : {1.0f, 50.0f}) {
        c = sequences(129, 300, 64, causal, type_of(causal));
        c.shape.softcap = softcap;
        c.magnitude = magnitude;
        cases.push_back(c);
      }
    }
  }
  return cases;
}

std::vector<AttentionCase> slopes() {
  std::vector<AttentionCase> cases;
  AttentionCase c = base();
  c.slopes = Slopes::per_head;
  add_everywhere(cases, c);
  c.slopes = Slopes::per_sequence;
  c.other_layout = {.offset = 1, .step = 3};
  add_everywhere(cases, c);
  // Tiles of keys before, at and behind the queries; slopes that divided by the scale f16 could not hold.
  constexpr std::int64_t kPairs[][2] = {{385, 385}, {1000, 300}, {300, 1000}, {129, 2049}};
  for (const auto& [seqlen_q, seqlen_k] : kPairs) {
    for (const bool causal : {false, true}) {
      for (const float scale : {0.1f, 1e-6f}) {
        for (const DType dtype : {DType::f16, DType::bf16}) {
          c = sequences(seqlen_q, seqlen_k, 128, causal, dtype);
          c.shape.scale = scale;
          c.slopes = Slopes::per_sequence;
          cases.push_back(c);
        }
      }
    }
  }
  c = sequences(385, 385, 128, true, DType::f16);
  c.slopes = Slopes::per_sequence;
  c.slope = 30;  // no bit of which may be lost
  cases.push_back(c);
  c.shape.causal = false;
  cases.push_back(c);
  return cases;
}

std::vector<AttentionCase> biases() {
  std::vector<AttentionCase> cases;
  AttentionCase c = base();
  c.bias.given = true;
  add_everywhere(cases, c);
  c.bias.dtype = DType::bf16;  // of q
  add_everywhere(cases, c);
  for (const bool full : {false, true}) {
    for (int broadcast = 0; broadcast < 8; ++broadcast) {
      const bool causal = broadcast % 2 == 0;
      c = sequences(129, 201, 64, causal, type_of(causal));
      c.bias = {true, full ? DType::f32 : c.dtype, (broadcast & 1) != 0, (broadcast & 2) != 0,
                (broadcast & 4) != 0};
      c.other_layout = broadcast % 3 == 0 ? Layout{} : Layout{.padding = broadcast % 3, .offset = 1};
      cases.push_back(c);
    }
  }
  return cases;
}

std::vector<AttentionCase> hiding_biases() {
  std::vector<AttentionCase> cases;
  for (const bool causal : {false, true}) {
    for (const float hidden : {0.3f, 0.97f}) {
      AttentionCase c = sequences(129, 400, 64, causal, type_of(causal));
      c.bias = {.given = true, .hidden = hidden};
      cases.push_back(c);
      c.sinks = true;
      cases.push_back(c);
    }
  }
  return cases;
}

std::vector<AttentionCase> sinks() {
  std::vector<AttentionCase> cases;
  AttentionCase c = base();
  c.sinks = true;
  add_everywhere(cases, c);
  c = sequences(257, 65, 128, true, DType::f16);  // some queries see nothing but the sink
  c.sinks = true;
  c.shape.empty_lse = INFINITY;
  c.other_layout.step = 2;
  c.shape.window_left = 20;
  cases.push_back(c);
  return cases;
}

std::vector<AttentionCase> dropouts() {
  std::vector<AttentionCase> cases;
  AttentionCase c = base();
  c.shape.dropout = {.probability = 0.17f, .seed = 42};
  add_everywhere(cases, c);
  for (const float probability : {0.05f, 0.5f, 0.95f}) {
    c = sequences(129, 300, 64, false, DType::bf16);
    c.shape.dropout = {.probability = probability, .seed = 0x9876543210fedcba, .offset = 0xffffffffffffff00};
    cases.push_back(c);
  }
  return cases;
}

std::vector<AttentionCase> probabilities() {
  constexpr std::int64_t kPairs[][2] = {{1, 1}, {63, 65}, {129, 113}, {130, 300}};
  std::vector<AttentionCase> cases;
  for (const auto& [seqlen_q, seqlen_k] : kPairs) {
    for (const bool causal : {false, true}) {
      AttentionCase c = sequences(seqlen_q, seqlen_k, 64, causal, type_of(causal));
      c.probabilities = true;
      c.shape.dropout = {.probability = 0.17f, .seed = 0x123456789abcdef0, .offset = std::uint64_t{3} << 32};
      cases.push_back(c);
      if (causal) continue;
      c.shape.head_dim = c.shape.head_dim_v = 128;
      c.shape.window_left = 40;
      c.magnitude = 5;
      cases.push_back(c);
    }
  }
  AttentionCase c = sequences(129, 113, 64, true, DType::bf16);  // nothing is dropped
  c.probabilities = true;
  cases.push_back(c);
  return cases;
}

std::vector<AttentionCase> empty_rows() {
  std::vector<AttentionCase> cases;
  for (const float empty_lse : {-INFINITY, INFINITY, -7.0f}) {
    AttentionCase c = sequences(300, 70, 64, true, DType::f16);
    c.shape.empty_lse = empty_lse;
    cases.push_back(c);
    c.shape.seqlen_k = 0;
    cases.push_back(c);
    c = sequences(300, 70, 64, false, DType::bf16);
    c.shape.empty_lse = empty_lse;
    c.shape.window_left = 3;
    c.shape.window_right = 2;
    cases.push_back(c);
  }
  return cases;
}

std::vector<AttentionCase> scales() {
  std::vector<AttentionCase> cases;
  for (const float scale : {0.0f, -0.125f, -1.0f}) {
    for (const bool softcap : {false, true}) {
      AttentionCase c = sequences(70, 130, 64, softcap, type_of(softcap));
      c.shape.scale = scale;
      if (softcap) c.shape.softcap = 10;
      cases.push_back(c);
    }
  }
  return cases;
}

std::vector<AttentionCase> wide_values() {
  constexpr std::int64_t kPairs[][2] = {{64, 512}, {128, 320}, {256, 512}, {8, 264}, {192, 320}, {72, 504}};
  std::vector<AttentionCase> cases;
  for (const auto& [head_dim, head_dim_v] : kPairs) {
    const bool causal = cases.size() % 2 == 1;
    AttentionCase c = sequences(99, 131, head_dim, causal, type_of(causal));
    c.shape.head_dim_v = head_dim_v;
    if (head_dim == 128) c.layout = {.padding = 1};
    cases.push_back(c);
  }
  return cases;
}

std::vector<AttentionCase> few_queries() {
  constexpr std::int64_t kHeads[][2] = {{8, 1}, {6, 3}, {16, 2}, {64, 1}, {12, 2}, {40, 1}};
  std::vector<AttentionCase> cases;
  for (const auto& [heads, kv_heads] : kHeads) {
    for (const std::int64_t seqlen_q : {1, 2, 5, 17}) {
      AttentionCase c = sequences(seqlen_q, 311, 128, true, DType::bf16);
      c.shape.heads = heads;
      c.shape.kv_heads = kv_heads;
      cases.push_back(c);
      if (heads == 64 && (seqlen_q == 2 || seqlen_q == 5)) continue;
      c.shape.head_dim = c.shape.head_dim_v = 64;
      c.shape.window_left = 100;
      c.shape.softcap = 20;
      c.slopes = Slopes::per_head;
      c.bias = {.given = true, .same_sequences = true};
      c.sinks = true;
      cases.push_back(c);
    }
  }
  return cases;
}

const Ahead kAhead({windows, chunks, softcaps, slopes, biases, hiding_biases, sinks, dropouts, probabilities,
                    empty_rows, scales, wide_values, few_queries});

}  // namespace

TEST_CASE("attention: windows", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  check_all(shared_runtime(), windows());
}

TEST_CASE("attention: chunks", "[gpu]") {
  SKIP_WITHOUT_GPU();
  check_all(shared_runtime(), chunks());
}

TEST_CASE("attention: softcap", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  check_all(shared_runtime(), softcaps());
}

TEST_CASE("attention: ALiBi, with slopes per head and per sequence", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  check_all(shared_runtime(), slopes());
}

TEST_CASE("attention: a bias of both types, with every extent of 1", "[gpu]") {
  SKIP_WITHOUT_GPU();
  check_all(shared_runtime(), biases());
}

TEST_CASE("attention: a bias of -infinity hides keys", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  check_all(shared_runtime(), hiding_biases());
}

TEST_CASE("attention: sinks", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  check_all(shared_runtime(), sinks());
}

TEST_CASE("attention: dropout", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  check_all(shared_runtime(), dropouts());
}

TEST_CASE("attention: probabilities show what is dropped", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  check_all(shared_runtime(), probabilities());
}

TEST_CASE("attention: the lse of queries that see no key is what is asked for", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  check_all(shared_runtime(), empty_rows());
}

TEST_CASE("attention: a scale of zero or below", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  check_all(shared_runtime(), scales());
}

TEST_CASE("attention: values of up to 512 channels", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  check_all(shared_runtime(), wide_values());
}

TEST_CASE("attention: few queries of many heads that share keys, with every kind of score", "[gpu]") {
  SKIP_WITHOUT_GPU();
  check_all(shared_runtime(), few_queries());
}

TEST_CASE("attention: a key that is NaN makes the queries that see it NaN", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  for (const std::int64_t head_dim : {64, 96, 128}) {
    for (const float softcap : {0.0f, 20.0f}) {
      AttentionCase c = sequences(70, 100, head_dim, false, DType::bf16);
      c.batch_invariant = true;  // as long sequences: some tiles of 8 keys have exponentials by polynomial
      c.shape.batch = 8;         // with a NaN in each of eight such tiles
      c.shape.softcap = softcap;
      AttentionValues values(c);
      const auto width = static_cast<std::size_t>(c.shape.kv_heads * head_dim);
      for (std::size_t b = 0; b < 8; ++b)
        std::fill_n(values.k.begin() + static_cast<std::ptrdiff_t>((b * 100 + 9 * b) * width), width, NAN);
      for (const bool portable : {false, true}) {
        CaseTensors tensors = tensors_of(c, values);
        for (const Slot slot : {kOut, kLse})
          tensors[slot]->write(std::vector<float>(tensors[slot]->read().size()));
        Attention args = args_of(c, tensors);
        args.portable = portable;
        attention(shared_runtime(), args, nullptr);
        driver::synchronize_device();
        for (const Slot slot : {kOut, kLse}) {
          const std::vector<float> found = tensors[slot]->read();
          CAPTURE(head_dim, softcap, portable, slot);
          CHECK(std::all_of(found.begin(), found.end(), [](float x) { return std::isnan(x); }));
        }
      }
    }
  }
}

}  // namespace sprue::test
