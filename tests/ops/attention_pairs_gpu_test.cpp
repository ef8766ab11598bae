// attention on the GPU: every two values of every two features and shapes together, in each family
// of kernels.
#include "ops/attention_call.h"
#include "ops/attention_factors.h"
#include "ops/fixture.h"
#include "support/catch.h"
#include "support/covering.h"
#include "support/gpu.h"

namespace sprue::test {

TEST_CASE("attention: every two values of every two features", "[gpu]") {
  SKIP_WITHOUT_GPU();
  std::vector<AttentionCase> cases;
  for (const bool portable : {false, true}) {
    const std::vector<Factor> factors = attention_factors(portable);
    for (const std::vector<int>& row : covering_array(levels_of(factors)))
      cases.push_back(case_of(factors, row));
  }
  CHECK(cases.size() < 120);
  check_each(shared_runtime(), cases);
}

}  // namespace sprue::test
