// The toolchain is found without being loaded, and its absence is said at the first use.
#include "runtime/toolchain.h"

#include "sprue/error.h"
#include "support/nvrtc.h"

using namespace sprue;

TEST_CASE("no compiler is no identity, and an error that names the place") {
  Toolchain toolchain("/nowhere/nvrtc");
  CHECK_FALSE(toolchain.identity());
  CHECK_THROWS_AS(toolchain.compiler(), CompileError);
  CHECK_THROWS_WITH(toolchain.compiler(), Contains("/nowhere/nvrtc"));
}

TEST_CASE("the compiler that is loaded is the one that was found") {
  SKIP_WITHOUT_NVRTC();
  Toolchain toolchain(nvrtc_search().nvrtc);
  const auto identity = toolchain.identity();
  REQUIRE(identity);
  CHECK(toolchain.compiler().identity().build_id == identity->build_id);
  CHECK(&toolchain.compiler() == &toolchain.compiler());
}
