// attention on the GPU: every two values of every two features and shapes together, in each family
// of kernels.
#include "ops/attention_call.h"
#include "ops/attention_factors.h"
#include "ops/fixture.h"
#include "support/catch.h"
#include "support/covering.h"
#include "support/gpu.h"

namespace sprue::test {
namespace {

void check_pairs(bool portable) {
  const std::vector<Factor> factors = attention_factors(portable);
  std::vector<AttentionCase> cases;
  for (const std::vector<int>& row : covering_array(levels_of(factors)))
    cases.push_back(case_of(factors, row));
  CHECK(cases.size() < 60);
  check_each(shared_runtime(), cases);
}

}  // namespace

TEST_CASE("attention: every two values of every two features", "[gpu]") {
  SKIP_WITHOUT_GPU();
  check_pairs(false);
}

TEST_CASE("attention: every two values of every two features, portable", "[gpu]") {
  SKIP_WITHOUT_GPU();
  check_pairs(true);
}

}  // namespace sprue::test
