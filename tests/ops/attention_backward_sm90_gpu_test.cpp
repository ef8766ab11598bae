// attention_backward where the tensor memory accelerator and wgmma compute it: which calls that are, the
// deterministic order of dq, and that every schedule computes the same.
#include "driver/device.h"
#include "ops/attention_backward_call.h"
#include "ops/fixture.h"
#include "support/catch.h"
#include "support/gpu.h"

namespace sprue::test {
namespace {

/// 2 sequences, 2 heads.
AttentionCase small(std::int64_t seqlen_q, std::int64_t seqlen_k, std::int64_t head_dim, bool causal) {
  AttentionCase c = sequences(seqlen_q, seqlen_k, head_dim, causal, DType::bf16);
  c.shape.heads = c.shape.kv_heads = 2;
  return c;
}

bool has_sm90() {
  return driver::device_info(driver::current_device()).architecture.sm() == 90;
}

std::string kernel_of(const AttentionBackwardCase& c) {
  const AttentionBackwardCall call(c);
  return prepare(shared_runtime(), call.args()).kernel;
}

/// With scores that are masked, changed and dropped, and tiles of queries that several blocks of keys see.
std::vector<AttentionCase> varied(std::int64_t head_dim) {
  std::vector<AttentionCase> cases = {small(200, 300, head_dim, false), small(300, 300, head_dim, true),
                                      small(280, 330, head_dim, true),  small(260, 300, head_dim, false),
                                      small(300, 200, head_dim, true),  small(150, 300, head_dim, true)};
  cases[1].shape.heads = 4;
  cases[2].shape.window_left = 90;
  cases[2].slopes = Slopes::per_head;
  cases[3].shape.chunk = 110;
  cases[3].shape.softcap = 20;
  cases[4].q_storage.packed = cases[4].k_storage.packed = true;
  cases[4].shape.batch = 3;
  cases[4].shape.lengths_q = {300, 0, 70};
  cases[4].shape.lengths_k = {140, 200, 129};
  cases[5].shape.dropout = {.probability = 0.2f, .seed = 7, .offset = 3};
  cases[5].bias.given = true;
  return cases;
}

}  // namespace

TEST_CASE("attention_backward: what the tensor memory accelerator can copy goes to attention_backward_sm90",
          "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  if (!has_sm90()) return;
  AttentionBackwardCase c{.forward = small(20, 20, 64, true)};
  CHECK(kernel_of(c) == "attention_backward_sm90");
  c.forward.portable = true;
  CHECK(kernel_of(c) == "attention_backward_fused");
  c.deterministic = true;
  CHECK(kernel_of(c) == "attention_backward_keys");
  c.forward.portable = c.deterministic = false;
  c.forward.slopes = Slopes::per_head;
  CHECK(kernel_of(c) == "attention_backward_sm90");
  c.dslopes = true;  // sums over rows of scores
  CHECK(kernel_of(c) == "attention_backward_keys");
  c = {.forward = small(20, 20, 64, true)};
  c.forward.layout.padding = 4;
  CHECK(kernel_of(c) == "attention_backward_fused");
}

TEST_CASE("attention_backward: features without gradients of their own", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  std::vector<AttentionBackwardCase> cases;
  for (const std::int64_t head_dim : {64, 128, 160}) {
    for (const AttentionCase& c : varied(head_dim)) cases.push_back({.forward = c});
  }
  // The schedule for more than 128 channels takes these one by one, if values have no more.
  for (const bool causal : {false, true}) {
    std::vector<AttentionCase> wide(5, small(200, 304, 192, causal));
    wide[1].shape.window_left = 90;
    wide[2].slopes = Slopes::per_head;
    wide[2].shape.chunk = 110;
    wide[3].bias.given = true;
    wide[4].bias = {.given = true, .dtype = DType::bf16};
    for (AttentionCase& c : wide) {
      c.shape.head_dim_v = 128;
      cases.push_back({.forward = c});
    }
  }
  check_gradients(shared_runtime(), cases);
}

TEST_CASE("attention_backward: a bias with a row for every query comes by tensor map", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  const auto has_map = [](const AttentionBackwardCase& c) {
    const AttentionBackwardCall call(c);
    const Values problem = spec_of(prepare(shared_runtime(), call.args()).spec).problem;
    const auto found = problem.find("BIAS_MAP");
    return found != problem.end() && found->second == Value(true);
  };
  std::vector<AttentionBackwardCase> cases;
  for (const std::int64_t head_dim : {64, 72, 128, 192, 256}) {
    AttentionBackwardCase c{.forward = small(300, 304, head_dim, head_dim % 128 == 0)};
    c.forward.bias = {
        .given = true, .dtype = DType::bf16, .same_sequences = head_dim == 72, .same_heads = head_dim == 192};
    c.dbias = true;
    c.bias_gradient_is_f32 = head_dim == 64;
    cases.push_back(c);
    c.forward.q_storage.packed = c.forward.k_storage.packed = true;
    c.forward.shape.batch = 3;
    c.forward.shape.lengths_q = {300, 0, 70};
    c.forward.shape.lengths_k = {144, 200, 129};
    c.deterministic = head_dim == 128;
    cases.push_back(c);
  }
  for (const std::size_t i : {0, 3})
    cases[i].forward.shape.dropout = {.probability = 0.2f, .seed = 7, .offset = 3};
  // With this many features attention_backward_bias_sm90 has 64 keys per tile.
  cases[3].forward.shape.softcap = 20;
  cases[4].forward.shape.softcap = 20;
  cases[4].forward.slopes = Slopes::per_head;
  for (const AttentionBackwardCase& c : cases) CHECK(has_map(c) == has_sm90());
  AttentionBackwardCase c = cases[0];
  c.forward.bias.same_queries = true;
  CHECK_FALSE(has_map(c));
  c = cases[0];
  c.forward.bias.dtype = DType::f32;
  CHECK_FALSE(has_map(c));
  check_gradients(shared_runtime(), cases);
}

TEST_CASE("attention_backward: the gradient of a bias is written beside those of keys", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  const auto writes_dbias = [](const AttentionBackwardCase& c) {
    const AttentionBackwardCall call(c);
    const Values problem = spec_of(prepare(shared_runtime(), call.args()).spec).problem;
    const auto found = problem.find("DBIAS");
    return found != problem.end() && found->second == Value(true);
  };
  std::vector<AttentionBackwardCase> cases;
  for (const std::int64_t head_dim : {64, 96, 128, 160, 192}) {
    for (const bool same_sequences : {false, true}) {
      AttentionBackwardCase c{
          .forward = small(300, 304, head_dim, true), .dbias = true, .bias_gradient_is_f32 = false};
      c.forward.bias = {.given = true, .dtype = DType::bf16, .same_sequences = same_sequences};
      c.deterministic = head_dim == 96;
      cases.push_back(c);
      c.forward = small(300, 600, head_dim, false);  // and keys and queries that nobody sees
      c.forward.bias = cases.back().forward.bias;
      c.forward.shape.heads = 4;
      c.forward.shape.window_left = 20;
      c.forward.shape.window_right = head_dim == 128 ? 0 : 40;
      if (head_dim != 128) c.forward.shape.dropout = {.probability = 0.2f, .seed = 7, .offset = 3};
      cases.push_back(c);
      c.forward.shape.window_left = c.forward.shape.window_right = -1;
      c.forward.shape.chunk = 110;
      c.forward.slopes = Slopes::per_head;
      cases.push_back(c);
    }
  }
  for (const AttentionBackwardCase& c : cases) CHECK(writes_dbias(c) == has_sm90());
  check_gradients(shared_runtime(), cases);
  AttentionBackwardCase c = cases[0];
  c.forward.shape.softcap = 20;
  CHECK_FALSE(writes_dbias(c));
  c = cases[0];
  c.bias_gradient_is_f32 = true;
  CHECK_FALSE(writes_dbias(c));
  c = cases[3];
  c.forward.shape.batch = 3;
  CHECK_FALSE(writes_dbias(c));
}

TEST_CASE("attention_backward: deterministic calls give the same bits, and the right ones",
          "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  for (const std::int64_t head_dim : {64, 160, 192}) {
    for (const AttentionCase& c : varied(head_dim)) {
      AttentionBackwardCall call({.forward = c, .deterministic = true});
      INFO(c.print());
      call.run(shared_runtime());
      driver::synchronize_device();
      CHECK(call.fault() == "");
      const auto first = call.result_bytes();
      for (int repetition = 0; repetition < 2; ++repetition) {
        call.run(shared_runtime());
        driver::synchronize_device();
        CHECK(call.result_bytes() == first);
      }
    }
  }
}

TEST_CASE("attention_backward: schedules of the kernel that is chosen compute the same", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  for (const std::int64_t head_dim :
       {40, 64, 128, 160, -40, -64, -128, -192}) {  // negative: of the portable kernel
    AttentionBackwardCase c{.forward = small(200, 150, std::abs(head_dim), true)};
    c.forward.portable = head_dim < 0;
    AttentionBackwardCall call(c);
    const KernelSpec usual = spec_of(prepare(shared_runtime(), call.args()).spec);
    for (const Values& schedule : schedules_of(usual.kernel, usual.problem, 6)) {
      INFO(c.print() << " " << usual.kernel << " " << print(schedule));
      Runtime runtime(with_schedule(usual.kernel, usual.problem, schedule));
      call.run(runtime);
      driver::synchronize_device();
      CHECK(call.fault() == "");
    }
  }
}

}  // namespace sprue::test
