// The recorder: every kernel once, over calls, threads and runtimes.
#include "runtime/recorder.h"

#include <thread>

#include "codegen/prewarm_manifest.h"
#include "runtime/fixture.h"
#include "support/catch.h"

using namespace sprue;

namespace {

KernelSpec asked(std::int64_t value) {
  return {"tiny", {{"VALUE", value}}, {}};
}

}  // namespace

TEST_CASE("each distinct request is recorded once") {
  const Fixture fixture;
  const fs::path file = fixture.directory / "seen.json";
  for (int run = 0; run < 2; ++run) {
    Recorder recorder(file, {});
    for (const std::int64_t value : {1, 2, 1, 2}) recorder.add(asked(value), architecture("sm_90"));
    recorder.add(asked(1), architecture("sm_80"));
  }
  const std::vector<codegen::PrewarmEntry> expected = {{"tiny", asked(1).problem, {}, {"sm_90"}},
                                                       {"tiny", asked(2).problem, {}, {"sm_90"}},
                                                       {"tiny", asked(1).problem, {}, {"sm_80"}}};
  CHECK(codegen::read_prewarm(file) == expected);
}

TEST_CASE("threads lose no record") {
  const Fixture fixture;
  const fs::path file = fixture.directory / "seen.json";
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      Recorder recorder(file, {});  // as if each were a process
      for (int i = 0; i < 5; ++i) recorder.add(asked(5 * t + i), architecture("sm_90"));
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(codegen::read_prewarm(file).size() == 20);
}

TEST_CASE("a record that cannot be written is a warning") {
  const Fixture fixture;
  std::string log;
  Recorder recorder(fixture.directory / "missing" / "seen.json",
                    [&](LogLevel level, std::string_view message) {
                      CHECK(level == LogLevel::warning);
                      log += message;
                    });
  recorder.add(asked(1), architecture("sm_90"));
  CHECK_THAT(log, StartsWith("[record] tiny VALUE=1 is not recorded: "));
}

TEST_CASE("without a file nothing is recorded") {
  Recorder recorder({}, {});
  CHECK_NOTHROW(recorder.add(asked(1), architecture("sm_90")));
}
