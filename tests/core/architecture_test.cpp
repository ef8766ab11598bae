// Architecture names, what runs where, and shared memory limits.
#include "core/architecture.h"

#include "sprue/error.h"
#include "support/catch.h"

using namespace sprue;

TEST_CASE("architecture names are read and printed") {
  for (const char* name : {"sm_80", "sm_86", "sm_90", "sm_90a", "sm_100f", "sm_120", "sm_121a"}) {
    CHECK(architecture(name).name() == name);
  }
  CHECK(architecture("sm_90a").sm() == 90);
  CHECK(architecture("sm_120").major == 12);
}

TEST_CASE("anything else is refused and quoted") {
  for (const char* text : {"", "sm_", "sm_9", "sm_90b", "sm_90aa", "sm_1200", "compute_90", "SM_90", "sm_9x",
                           "sm_ 90", "sm_90 "}) {
    CAPTURE(text);
    CHECK_FALSE(parse_architecture(text));
  }
  CHECK_THROWS_WITH(architecture("hopper"),
                    "an architecture must look like sm_80, sm_90a or sm_100f, but is 'hopper'");
}

TEST_CASE("machine code runs on its own chip, its major version or its family") {
  const auto runs = [](const char* built, const char* device) {
    return runs_on(architecture(built), architecture(device));
  };
  CHECK(runs("sm_80", "sm_80"));
  CHECK(runs("sm_80", "sm_89"));
  CHECK_FALSE(runs("sm_89", "sm_80"));
  CHECK_FALSE(runs("sm_80", "sm_90"));
  CHECK(runs("sm_90a", "sm_90"));
  CHECK_FALSE(runs("sm_100a", "sm_103"));
  CHECK(runs("sm_100f", "sm_103"));
  CHECK_FALSE(runs("sm_120", "sm_100"));
}

TEST_CASE("shared memory limits follow the programming guide") {
  CHECK(shared_bytes_limit(architecture("sm_80")) == 163 * 1024);
  CHECK(shared_bytes_limit(architecture("sm_86")) == 99 * 1024);
  CHECK(shared_bytes_limit(architecture("sm_89")) == 99 * 1024);
  CHECK(shared_bytes_limit(architecture("sm_90a")) == 227 * 1024);
  CHECK(shared_bytes_limit(architecture("sm_100")) == 227 * 1024);
  CHECK(shared_bytes_limit(architecture("sm_120")) == 99 * 1024);
}
