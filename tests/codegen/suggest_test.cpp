// Near names in error messages.
#include "codegen/suggest.h"

#include "support/catch.h"

namespace sprue::codegen {

TEST_CASE("a mistyped name is recognised") {
  const std::vector<std::string> known = {"HEAD_DIM", "HEAD_DIM_V", "CAUSAL"};
  CHECK(did_you_mean("HEAD_DIN", known) == "; did you mean HEAD_DIM?");
  CHECK(did_you_mean("causal", known) == "; did you mean CAUSAL?");
  CHECK(did_you_mean("HEAD_DIMV", known) == "; did you mean HEAD_DIM?");
  CHECK(did_you_mean("CUASAL", known) == "; did you mean CAUSAL?");
  CHECK(did_you_mean("BLOCK_M", known) == "");
  CHECK(did_you_mean("", known) == "");
  CHECK(did_you_mean("CAUSAL", {}) == "");
  CHECK(did_you_mean(std::string(100000, 'A'), known) == "");
}

TEST_CASE("names are joined by commas") {
  CHECK(join({}) == "");
  CHECK(join({"a", "b"}) == "a, b");
}

}  // namespace sprue::codegen
