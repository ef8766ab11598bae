// attention_backward on the GPU against double precision: shapes, head dimensions, masks, features, storage.
#include "ops/attention_backward_call.h"
#include "ops/fixture.h"
#include "support/catch.h"
#include "support/gpu.h"

namespace sprue::test {
namespace {

using Cases = std::vector<AttentionBackwardCase>;

/// 2 sequences, 3 heads.
AttentionBackwardCase plain(std::int64_t seqlen_q, std::int64_t seqlen_k, std::int64_t head_dim, bool causal,
                            DType dtype = DType::bf16) {
  return {.forward = sequences(seqlen_q, seqlen_k, head_dim, causal, dtype)};
}

void few_heads(AttentionBackwardCase& c) {
  c.forward.shape.batch = 1;
  c.forward.shape.heads = c.forward.shape.kv_heads = 1;
}

}  // namespace

TEST_CASE("attention_backward: a few sizes, with and without a causal mask", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  Cases cases;
  for (const bool causal : {false, true}) {
    cases.push_back(plain(1, 1, 64, causal));
    cases.push_back(plain(65, 129, 64, causal));
    cases.push_back(plain(129, 65, 64, causal));
  }
  check_gradients(shared_runtime(), cases);
}

TEST_CASE("attention_backward: every length", "[gpu]") {
  SKIP_WITHOUT_GPU();
  Cases cases;
  for (const bool causal : {false, true}) {
    for (const std::int64_t seqlen_q : {1, 63, 64, 65, 129, 777}) {
      for (const std::int64_t seqlen_k : {1, 63, 64, 65, 129, 777}) {
        cases.push_back(plain(seqlen_q, seqlen_k, 64, causal, causal ? DType::f16 : DType::bf16));
      }
    }
    for (const std::int64_t seqlen : {1024, 2049}) {
      cases.push_back(plain(seqlen, seqlen, 64, causal));
      few_heads(cases.back());
    }
  }
  check_gradients(shared_runtime(), cases);
}

TEST_CASE("attention_backward: head dimensions, those of the values too", "[gpu]") {
  SKIP_WITHOUT_GPU();
  Cases cases;
  for (std::int64_t head_dim = 8; head_dim <= 256; head_dim += head_dim < 128 ? 8 : 16) {
    cases.push_back(
        plain(65, 97, head_dim, head_dim % 16 == 0, head_dim % 24 == 0 ? DType::f16 : DType::bf16));
  }
  for (const auto& [head_dim, head_dim_v] :
       {std::pair{192, 128}, {64, 128}, {128, 64}, {8, 256}, {256, 8}, {40, 72}, {200, 136}}) {
    cases.push_back(plain(65, 97, head_dim, true));
    cases.back().forward.shape.head_dim_v = head_dim_v;
  }
  check_gradients(shared_runtime(), cases);
}

TEST_CASE("attention_backward: a few head dimensions", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  Cases cases;
  for (const std::int64_t head_dim : {8, 40, 128, 256}) {
    cases.push_back(plain(33, 40, head_dim, false));
    few_heads(cases.back());
  }
  cases.push_back(plain(33, 40, 192, true));
  cases.back().forward.shape.head_dim_v = 128;
  check_gradients(shared_runtime(), cases);
}

TEST_CASE("attention_backward: heads that share keys", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  Cases cases;
  for (const auto& [heads, kv_heads] : {std::pair{4, 2}, {6, 1}}) {
    for (const bool causal : {false, true}) {
      cases.push_back(plain(65, 70, 64, causal));
      cases.back().forward.shape.heads = heads;
      cases.back().forward.shape.kv_heads = kv_heads;
    }
  }
  check_gradients(shared_runtime(), cases);
}

TEST_CASE("attention_backward: windows and chunks", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  Cases cases;
  for (const auto& [left, right] : {std::pair{20, -1}, {-1, 5}, {7, 3}, {0, 0}}) {
    for (const auto& [seqlen_q, seqlen_k] : {std::pair{113, 113}, {40, 150}, {150, 40}}) {
      cases.push_back(plain(seqlen_q, seqlen_k, 64, false));
      cases.back().forward.shape.window_left = left;
      cases.back().forward.shape.window_right = right;
    }
  }
  for (const bool causal : {false, true}) {
    for (const std::int64_t chunk : {1, 48, 64}) {
      cases.push_back(plain(113, 150, 64, causal));
      cases.back().forward.shape.chunk = chunk;
    }
  }
  check_gradients(shared_runtime(), cases);
}

TEST_CASE("attention_backward: softcap, ALiBi, sinks and scales", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  Cases cases;
  const auto add = [&](const auto& change) {
    AttentionCase c =
        sequences(65, 100, 64, cases.size() % 2 == 1, cases.size() % 4 < 2 ? DType::bf16 : DType::f16);
    change(c);
    cases.push_back(all_gradients(c));
  };
  for (int i = 0; i < 2; ++i) {
    add([](AttentionCase& c) { c.shape.softcap = 5; });
    add([](AttentionCase& c) { c.slopes = Slopes::per_head; });
    add([](AttentionCase& c) { c.slopes = Slopes::per_sequence, c.other_layout = {.offset = 1, .step = 3}; });
    add([](AttentionCase& c) { c.sinks = true; });
    add([](AttentionCase& c) { c.shape.scale = -0.1f; });
    add([](AttentionCase& c) { c.magnitude = 8; });
    add([](AttentionCase& c) {
      c.shape.softcap = 20, c.slopes = Slopes::per_head, c.sinks = true, c.shape.scale = -0.2f;
    });
  }
  check_gradients(shared_runtime(), cases);
}

TEST_CASE("attention_backward: biases, whatever they are the same for", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  Cases cases;
  for (int broadcast = 0; broadcast < 8; ++broadcast) {
    AttentionCase c = sequences(65, 70, 64, broadcast % 2 == 0, DType::bf16);
    c.bias = {true, broadcast % 3 == 0 ? DType::bf16 : DType::f32, (broadcast & 1) != 0, (broadcast & 2) != 0,
              (broadcast & 4) != 0};
    c.shape.heads = c.shape.kv_heads = 2;
    cases.push_back(all_gradients(c));
    cases.back().bias_gradient_is_f32 = broadcast % 4 != 0;
  }
  cases[1].forward.bias.hidden = 0.3f;
  check_gradients(shared_runtime(), cases);
}

TEST_CASE("attention_backward: dropout", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  Cases cases;
  for (const std::int64_t head_dim : {64, 128}) {
    AttentionCase c = sequences(70, 100, head_dim, head_dim == 128, DType::bf16);
    c.shape.dropout = {.probability = 0.17f, .seed = 42, .offset = 1000};
    cases.push_back(all_gradients(c));
    c.bias.given = true;
    c.shape.softcap = 20;
    cases.push_back(all_gradients(c));
  }
  check_gradients(shared_runtime(), cases);
}

TEST_CASE("attention_backward: sequences of different lengths", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  Cases cases;
  for (const Storage& q :
       {Storage{}, Storage{.slack = true}, Storage{.packed = true}, Storage{.packed = true, .slack = true}}) {
    for (const Storage& k : {Storage{}, Storage{.packed = true}, Storage{.packed = true, .slack = true}}) {
      AttentionCase c = sequences(70, 100, 64, cases.size() % 2 == 0, DType::bf16);
      c.shape.batch = 4;
      c.shape.heads = c.shape.kv_heads = 2;
      c.q_storage = q;
      c.k_storage = k;
      if (q.packed || q.slack) c.shape.lengths_q = {70, 0, 36, 1};
      if (k.packed || k.slack) c.shape.lengths_k = {34, 100, 0, 65};
      c.sinks = cases.size() % 3 == 0;
      c.slopes = cases.size() % 3 == 1 ? Slopes::per_sequence : Slopes::none;
      c.bias.given = cases.size() % 3 == 2;
      cases.push_back(all_gradients(c));
    }
  }
  check_gradients(shared_runtime(), cases);
}

TEST_CASE("attention_backward: strides, alignment and a workspace of the caller's", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  Cases cases;
  for (const Layout& layout : {Layout{.order = {0, 2, 1, 3}}, Layout{.padding = 8}, Layout{.padding = 4},
                               Layout{.padding = 2, .offset = 2}, Layout{.padding = 1, .offset = 1}}) {
    cases.push_back(plain(33, 40, 40, true));
    cases.back().forward.layout = layout;
    cases.back().own_workspace = true;
  }
  check_gradients(shared_runtime(), cases);
}

TEST_CASE("attention_backward: empty tensors", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  Cases cases = {plain(0, 40, 64, false), plain(40, 0, 64, false), plain(0, 0, 64, true)};
  for (AttentionBackwardCase& c : cases) {
    c.forward.sinks = true;
    c.dsinks = true;
  }
  cases.push_back(plain(5, 5, 64, true));
  cases.back().forward.shape.batch = 0;
  check_gradients(shared_runtime(), cases);
}

TEST_CASE("attention_backward: the same call gives the same bits", "[gpu]") {
  SKIP_WITHOUT_GPU();
  AttentionCase c = sequences(777, 777, 128, true, DType::bf16);
  c.shape.heads = 4;
  c.shape.kv_heads = 2;
  c.sinks = true;
  c.slopes = Slopes::per_head;
  c.bias = {.given = true, .same_sequences = true, .same_heads = true};
  AttentionBackwardCase backward = all_gradients(c);
  backward.deterministic = true;
  AttentionBackwardCall call(backward);
  call.run(shared_runtime());
  const auto first = call.result_bytes();
  for (int repetition = 0; repetition < 20; ++repetition) {
    call.run(shared_runtime());
    CHECK(call.result_bytes() == first);
  }
}

}  // namespace sprue::test
