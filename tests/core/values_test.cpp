// How values and specs print.
#include "core/values.h"

#include "support/catch.h"

using namespace sprue;

TEST_CASE("values print as a template sees them") {
  CHECK(print(Value(true)) == "true");
  CHECK(print(Value(std::int64_t{128})) == "128");
  CHECK(print(Value(std::string("bf16"))) == "bf16");
}

TEST_CASE("equal specs print alike, whatever the order they were built in") {
  const KernelSpec a{"rms_norm", {{"HIDDEN", std::int64_t{8}}, {"A", false}}, {{"WARPS", std::int64_t{4}}}};
  const KernelSpec b{"rms_norm", {{"A", false}, {"HIDDEN", std::int64_t{8}}}, {{"WARPS", std::int64_t{4}}}};
  CHECK(a == b);
  CHECK(print(a) == "rms_norm A=false HIDDEN=8 | WARPS=4");
  CHECK(print(KernelSpec{"k", {}, {}}) == "k");
}
