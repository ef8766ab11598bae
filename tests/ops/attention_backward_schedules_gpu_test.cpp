// attention_backward on the GPU: every schedule of each portable kernel of deterministic calls computes
// the same.
#include "driver/device.h"
#include "ops/attention_backward_call.h"
#include "ops/attention_backward_problem.h"
#include "ops/fixture.h"
#include "support/catch.h"
#include "support/gpu.h"

namespace sprue::test {
namespace {

constexpr BackwardStep kSteps[] = {BackwardStep::delta, BackwardStep::queries, BackwardStep::keys,
                                   BackwardStep::bias, BackwardStep::heads};

AttentionBackwardProblem problem_of(const AttentionBackward& args) {
  const AttentionLayout layout(args.forward);
  return specialise(args, layout, AttentionBackwardViews(args), attention_backward_arguments(args, layout));
}

/// Up to `most` schedules of each kernel that a case needs, the others as they are by default.
void check_schedules(const AttentionBackwardCase& c, std::size_t most) {
  INFO(c.print());
  AttentionBackwardCall call(c);
  call.set_portable(true);
  call.set_deterministic(true);
  const AttentionBackwardProblem problem = problem_of(call.args());
  std::vector<KernelSpec> specs;
  std::vector<BackwardStep> steps;  // of the specs
  for (const BackwardStep step : kSteps) {
    if (!problem.needs(step)) continue;
    const Request request = problem.request(step);
    const std::vector<Values> schedules = schedules_of(request.kernel, request.problem, most);
    CHECK(!schedules.empty());
    for (const Values& schedule : schedules) {
      specs.push_back({request.kernel, request.problem, schedule});
      steps.push_back(step);
    }
  }
  build_all(specs);
  for (std::size_t i = 0; i < specs.size(); ++i) {
    const KernelSpec& spec = specs[i];
    INFO(spec.kernel << " " << print(spec.schedule));
    Runtime runtime(with_schedule(spec.kernel, spec.problem, spec.schedule));
    const KernelKey key = problem.key(steps[i], driver::current_device());
    CHECK_THAT(runtime.impl().prepare(key, problem.request(steps[i])).spec,
               EndsWith("| " + print(spec.schedule)));
    call.poison(runtime);
    call.run(runtime);
    driver::synchronize_device();
    CHECK(call.fault() == "");
  }
}

constexpr std::size_t kMany = 12, kSome = 6;

}  // namespace

TEST_CASE("attention_backward: schedules compute the same", "[gpu]") {
  SKIP_WITHOUT_GPU();
  check_schedules({.forward = sequences(150, 200, 64, true, DType::bf16)}, kMany);
  AttentionBackwardCase odd{.forward = sequences(129, 150, 72, false, DType::f16)};
  odd.forward.shape.head_dim_v = 40;
  check_schedules(odd, kSome);
  check_schedules({.forward = sequences(100, 129, 256, true, DType::bf16)}, kSome);
}

TEST_CASE("attention_backward: schedules of problems with many features compute the same", "[gpu]") {
  SKIP_WITHOUT_GPU();
  AttentionCase c = sequences(150, 170, 64, true, DType::f16);
  c.shape.heads = 4;
  c.shape.kv_heads = 2;
  c.shape.lengths_q = {150, 77};
  c.shape.lengths_k = {90, 170};
  c.q_storage.packed = c.k_storage.packed = true;
  c.shape.window_left = 60;
  c.shape.softcap = 20;
  c.slopes = Slopes::per_head;
  c.bias = {.given = true, .same_heads = true};
  c.sinks = true;
  c.shape.dropout = {.probability = 0.2f, .seed = 3};
  check_schedules(all_gradients(c), kSome);
  c.bias.same_queries = true;  // the kernel of dbias sums columns
  c.shape.dropout = {};
  check_schedules(all_gradients(c), kSome);
}

}  // namespace sprue::test
