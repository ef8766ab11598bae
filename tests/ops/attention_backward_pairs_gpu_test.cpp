// attention_backward on the GPU: every two values of every two features, shapes and kinds of call together.
#include <algorithm>

#include "ops/attention_backward_call.h"
#include "ops/attention_factors.h"
#include "ops/fixture.h"
#include "support/catch.h"
#include "support/covering.h"
#include "support/gpu.h"

namespace sprue::test {
namespace {

/// Values of the factors that a backward pass has beside those of the call that it belongs to.
const std::vector<int> kLevels = {2, 2, 2, 2, 2};

/// The case nearest to `forward` that has gradients.
AttentionCase differentiable(AttentionCase forward) {
  forward.lse = true;
  forward.probabilities = false;
  if (forward.k_storage.page_size > 0) forward.k_storage = {.packed = true, .slack = true};
  if (forward.shape.head_dim_v > 256) forward.shape.head_dim_v = 128;
  forward.magnitude = std::min(forward.magnitude, 8.0f);
  return forward;
}

AttentionBackwardCase backward_of(const AttentionCase& forward, const int* levels) {
  AttentionBackwardCase c = all_gradients(differentiable(forward));
  c.bias_gradient_is_f32 = levels[0] == 0;
  c.deterministic = levels[1] == 1;
  c.own_workspace = levels[2] == 1;
  c.after_forward = levels[3] == 1;
  if (levels[4] == 1) c.dbias = c.dslopes = c.dsinks = false;
  return c;
}

void check_pairs(bool portable) {
  std::vector<AttentionBackwardCase> cases;
  const std::vector<Factor> factors = attention_factors(portable);
  std::vector<int> levels = levels_of(factors);
  levels.insert(levels.end(), kLevels.begin(), kLevels.end());
  for (const std::vector<int>& row : covering_array(levels))
    cases.push_back(backward_of(case_of(factors, row), row.data() + factors.size()));
  CHECK(cases.size() < 60);
  check_gradients(shared_runtime(), cases);
}

}  // namespace

TEST_CASE("attention_backward: every two values of every two features", "[gpu]") {
  SKIP_WITHOUT_GPU();
  check_pairs(false);
}

TEST_CASE("attention_backward: every two values of every two features, portable", "[gpu]") {
  SKIP_WITHOUT_GPU();
  check_pairs(true);
}

}  // namespace sprue::test
