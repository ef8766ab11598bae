#include "ops/attention_backward_problem.h"

#include "ops/tile_map.h"

namespace sprue {
namespace {

constexpr const char* kKernels[] = {
    "attention_backward_delta", "attention_backward_queries", kBackwardKeys,
    "attention_backward_dq",    "attention_backward_bias",    "attention_backward_heads"};

const char* kernel_of(BackwardStep step) {
  return kKernels[static_cast<int>(step)];
}

/// Of a bias with a row for every query, or its gradient.
bool has_bias_map(const ConstTensor& bias, DType scalar) {
  if (!ops::given(bias) || bias.dtype != scalar || bias.extents.shape[2] == 1) return false;
  const ops::View view("bias", bias);
  const auto repeats = [&](std::size_t i) {
    return bias.extents.shape[i] != 1 && bias.extents.stride[i] == 0;
  };
  return ops::alignment(view) == 16 && has_tensor_map(view) && !repeats(0) && !repeats(1) && !repeats(2);
}

/// Whether one kernel can write the gradient of the bias beside those of k and v: it has gradients of scores
/// at hand, rounded, one sequence's and head's at a time, without softcap's slope.
bool has_dbias_by_keys(const Tensor& dbias, const AttentionBackwardProblem& problem,
                       const AttentionBackwardArguments& arguments) {
  constexpr int kMostSequences = 2, kMostColumns = 416;
  const AttentionProblem& forward = problem.forward;
  return problem.bias_map && has_bias_map(dbias, forward.scalar) && arguments.bias_k % 8 == 0 &&
         !forward.softcap && !forward.varlen && forward.head_dim + forward.head_dim_v <= kMostColumns &&
         arguments.bias_heads == arguments.forward.heads &&
         arguments.forward.batch <= kMostSequences * arguments.bias_batch;
}

}  // namespace

AttentionBackwardProblem specialise(const AttentionBackward& args, const AttentionLayout& layout,
                                    const AttentionBackwardViews& views,
                                    const AttentionBackwardArguments& arguments) {
  AttentionBackwardProblem problem;
  problem.forward = specialise(args.forward, layout, views.forward, arguments.forward);
  problem.forward.packed_heads = 1;
  problem.forward.probabilities = problem.forward.has_lse = problem.forward.sinks = false;
  problem.forward.is_short = false;
  problem.forward.alignment = static_cast<int>(std::min(
      std::int64_t{problem.forward.alignment}, ops::alignment(views.dq, views.dk, views.dv, views.dout)));
  problem.slope_rows = args.dslopes.given();
  // Sums over a row of scores are attention_backward_queries' work, which then computes dq as well.
  const AttentionArguments& forward = arguments.forward;
  const bool adds_dq = !problem.slope_rows && forward.batch > 0 && forward.seqlen_q > 0 && forward.heads > 0;
  problem.forward.sm90 =
      problem.forward.sm90 && problem.forward.alignment == 16 && has_tensor_map(views.dout) && adds_dq;
  const bool deterministic = args.deterministic || args.forward.batch_invariant;
  problem.deterministic = problem.forward.sm90 && deterministic;
  problem.any_order = adds_dq && !deterministic;
  problem.bias_map = problem.forward.sm90 && has_bias_map(args.forward.bias, problem.forward.scalar);
  problem.dsinks = args.dsinks.given();
  problem.dbias = bias_of(args.dbias);
  problem.dbias_by_keys = has_dbias_by_keys(args.dbias, problem, arguments);
  problem.one_row = args.dbias.given() && args.dbias.extents.shape[2] == 1;
  return problem;
}

bool AttentionBackwardProblem::needs(BackwardStep step) const {
  if (step == BackwardStep::queries) return block_m == 0;
  if (step == BackwardStep::dq) return block_m != 0;
  if (step == BackwardStep::bias) return dbias != AttentionProblem::Bias::none && !dbias_by_keys;
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
  } else if (step == BackwardStep::dq) {
    key.specialisation[0] = at(forward.head_dim, 0) | at(block_m, 16) | at(forward.alignment, 24) |
                            at(forward.varlen, 31) | at(forward.scalar, 32);
  } else {
    const KernelKey common = forward.key(device);
    constexpr int kFree = 32;  // the first bit that the features of forward kernels leave
    key.specialisation[0] = common.specialisation[0];
    key.specialisation[1] = common.specialisation[1];
    if (step == BackwardStep::queries) key.specialisation[1] |= at(slope_rows, kFree);
    if (step == BackwardStep::keys)
      key.specialisation[1] |= at(forward.sm90, kFree) | at(deterministic, kFree + 1) |
                               at(bias_map, kFree + 2) | at(any_order, kFree + 3) |
                               at(dbias_by_keys, kFree + 4);
    if (step == BackwardStep::bias)
      key.specialisation[1] |=
          at(dbias, kFree) | at(one_row, kFree + 8) | at(forward.sm90, kFree + 9) | at(bias_map, kFree + 10);
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
  if (step == BackwardStep::dq) {
    return {kernel,
            {{"SCALAR", scalar},
             {"HEAD_DIM", std::int64_t{forward.head_dim}},
             {"VARLEN", forward.varlen},
             {"ALIGNMENT", std::int64_t{forward.alignment}},
             {"BLOCK_M", std::int64_t{block_m}}}};
  }
  Request request = forward.request(kernel);
  if (step == BackwardStep::queries && slope_rows) request.problem.emplace("SLOPE_ROWS", true);
  if (step == BackwardStep::bias) {
    request.problem.emplace("DBIAS", std::string(name_of(dbias)));
    if (one_row) request.problem.emplace("ONE_ROW", true);
  }
  return request;
}

bool AttentionBackwardProblem::has_sm90(BackwardStep step) const {
  constexpr int kMostBiasColumns = 128;  // of attention_backward_bias_sm90
  if (step == BackwardStep::bias)
    return forward.sm90 && !one_row && std::max(forward.head_dim, forward.head_dim_v) <= kMostBiasColumns;
  return step == BackwardStep::keys && forward.sm90;
}

Request AttentionBackwardProblem::fused_request() const {
  return forward.request(kBackwardFused);
}

Request AttentionBackwardProblem::sm90_request(BackwardStep step) const {
  const bool is_bias = step == BackwardStep::bias;
  Request request = forward.request(is_bias ? kBackwardBiasSm90 : kBackwardSm90);
  if (is_bias) request.problem.emplace("DBIAS", std::string(name_of(dbias)));
  if (!is_bias && dbias_by_keys) request.problem.emplace("DBIAS", true);
  if (!is_bias && deterministic) request.problem.emplace("DETERMINISTIC", true);
  if (bias_map) request.problem.emplace("BIAS_MAP", true);
  return request;
}

}  // namespace sprue
