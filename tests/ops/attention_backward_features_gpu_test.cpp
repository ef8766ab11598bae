// attention_backward on the GPU: every feature alone, and after attention itself.
#include <algorithm>
#include <cmath>

#include "ops/attention_backward_call.h"
#include "ops/fixture.h"
#include "support/catch.h"
#include "support/gpu.h"

namespace sprue::test {
namespace {

using Cases = std::vector<AttentionBackwardCase>;

}  // namespace

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
  for (const int same : {0, 7}) {  // hides every key
    cases.push_back(cases[static_cast<std::size_t>(same)]);
    cases.back().forward.bias.hidden = 2;
    cases.back().forward.sinks = cases.back().dsinks = same == 7;
  }
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

TEST_CASE("attention_backward: dropout does not hide queries that are NaN", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  AttentionBackwardCase c;
  c.forward = sequences(70, 100, 64, false, DType::bf16);
  c.forward.shape.dropout = {.probability = 0.17f, .seed = 42, .offset = 1000};
  c.forward.magnitude = NAN;
  for (const bool portable : {false, true}) {
    AttentionBackwardCall call(c);
    call.set_portable(portable);
    call.poison(shared_runtime());
    call.run(shared_runtime());
    driver::synchronize_device();
    const std::vector<float> dv = call.dv_values();
    const auto finite = std::count_if(dv.begin(), dv.end(), [](float x) { return std::isfinite(x); });
    CHECK(finite == 0);
  }
}

TEST_CASE("attention_backward: after attention itself", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  Cases cases;
  for (const DType dtype : {DType::f16, DType::bf16}) {
    AttentionCase c = sequences(65, 100, 64, dtype == DType::f16, dtype);
    const auto add = [&] {
      cases.push_back(all_gradients(c));
      cases.back().after_forward = true;
    };
    add();
    c.magnitude = 8;
    add();
    c.shape.softcap = 20;
    add();
    c.magnitude = 1;
    c.sinks = true;
    c.shape.window_left = 20;
    c.shape.empty_lse = INFINITY;
    add();
    c.shape.dropout = {.probability = 0.3f, .seed = 9};
    add();
  }
  check_gradients(shared_runtime(), cases);
}

TEST_CASE("attention_backward: a scale of 0, with everything that is added to scores", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  Cases cases;
  for (const float softcap : {0.0f, 5.0f}) {
    AttentionCase c = sequences(33, 40, 64, softcap == 0, DType::bf16);
    c.shape.scale = 0;
    c.shape.softcap = softcap;
    cases.push_back(all_gradients(c));
    c.slopes = Slopes::per_head;
    c.bias.given = c.sinks = true;
    cases.push_back(all_gradients(c));
  }
  check_gradients(shared_runtime(), cases);
}

}  // namespace sprue::test
