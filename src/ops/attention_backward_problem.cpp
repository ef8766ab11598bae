#include "ops/attention_backward_problem.h"

namespace sprue {
namespace {

constexpr const char* kKernels[] = {"attention_backward_delta", "attention_backward_queries",
                                    "attention_backward_keys", "attention_backward_bias",
                                    "attention_backward_heads"};

const char* kernel_of(BackwardStep step) {
  return kKernels[static_cast<int>(step)];
}

}  // namespace

AttentionBackwardProblem specialise(const AttentionBackward& args, const AttentionLayout& layout,
                                    const AttentionBackwardViews& views,
                                    const AttentionBackwardArguments& arguments) {
  AttentionBackwardProblem problem;
  problem.forward = specialise(args.forward, layout, views.forward, arguments.forward);
  problem.forward.packed_heads = 1;
  problem.forward.probabilities = problem.forward.has_lse = problem.forward.sinks = false;
  problem.forward.is_short = problem.forward.sm90 = false;
  problem.forward.alignment = static_cast<int>(std::min(
      std::int64_t{problem.forward.alignment}, ops::alignment(views.dq, views.dk, views.dv, views.dout)));
  problem.slope_rows = args.dslopes.given();
  problem.dsinks = args.dsinks.given();
  problem.dbias = bias_of(args.dbias);
  problem.one_row = args.dbias.given() && args.dbias.extents.shape[2] == 1;
  return problem;
}

bool AttentionBackwardProblem::needs(BackwardStep step) const {
  if (step == BackwardStep::bias) return dbias != AttentionProblem::Bias::none;
  return step != BackwardStep::heads || slope_rows || dsinks;
}

KernelKey AttentionBackwardProblem::key(BackwardStep step, int device) const {
  const auto at = [](auto value, int bit) { return static_cast<std::uint64_t>(value) << bit; };
  KernelKey key{kernel_id(kernel_of(step)), device, {}};
  if (step == BackwardStep::delta) {
    key.specialisation[0] = at(forward.head_dim_v, 0) | at(forward.alignment, 16) | at(forward.scalar, 32);
  } else if (step == BackwardStep::heads) {
    key.specialisation[0] =
        at(forward.varlen, 0) | at(dsinks, 1) | at(slope_rows, 2) | at(forward.scalar, 32);
  } else {
    const KernelKey common = forward.key(device);
    constexpr int kFree = 32;  // the first bit that the features of forward kernels leave
    key.specialisation[0] = common.specialisation[0];
    key.specialisation[1] = common.specialisation[1];
    if (step == BackwardStep::queries) key.specialisation[1] |= at(slope_rows, kFree);
    if (step == BackwardStep::bias) key.specialisation[1] |= at(dbias, kFree) | at(one_row, kFree + 8);
  }
  return key;
}

Request AttentionBackwardProblem::request(BackwardStep step) const {
  const char* const kernel = kernel_of(step);
  const Value scalar = std::string(name_of(forward.scalar));
  if (step == BackwardStep::delta) {
    return {kernel,
            {{"SCALAR", scalar},
             {"HEAD_DIM_V", std::int64_t{forward.head_dim_v}},
             {"ALIGNMENT", std::int64_t{forward.alignment}}}};
  }
  if (step == BackwardStep::heads) {
    return {kernel,
            {{"SCALAR", scalar}, {"VARLEN", forward.varlen}, {"SINKS", dsinks}, {"SLOPES", slope_rows}}};
  }
  Request request = forward.request(kernel);
  if (step == BackwardStep::queries && slope_rows) request.problem.emplace("SLOPE_ROWS", true);
  if (step == BackwardStep::bias) {
    request.problem.emplace("DBIAS", std::string(name_of(dbias)));
    if (one_row) request.problem.emplace("ONE_ROW", true);
  }
  return request;
}

}  // namespace sprue
