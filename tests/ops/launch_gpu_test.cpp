// Launches in company: several streams, CUDA graphs, threads, devices, and runtimes that must not compile.
#include <atomic>
#include <deque>
#include <thread>

#include "driver/device.h"
#include "driver/stream.h"
#include "ops/attention_call.h"
#include "ops/fixture.h"
#include "sprue/error.h"
#include "support/catch.h"
#include "support/gpu.h"

namespace sprue::test {
namespace {

const AttentionCase kCase = sequences(200, 333, 64, true, DType::bf16);

}  // namespace

TEST_CASE("launches on several streams do not disturb each other", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  std::deque<driver::StreamHandle> streams(4);
  std::deque<AttentionCall> calls;
  for (std::size_t i = 0; i < streams.size(); ++i) calls.emplace_back(kCase);
  for (int round = 0; round < 10; ++round) {
    for (std::size_t i = 0; i < streams.size(); ++i) calls[i].run(shared_runtime(), streams[i]);
  }
  driver::synchronize_device();
  for (const AttentionCall& call : calls) CHECK(call.fault() == "");
}

TEST_CASE("a prepared operator can be captured into a CUDA graph", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  Runtime runtime(test_options());
  AttentionCall call(kCase);
  prepare(runtime, call.args());
  const driver::StreamHandle stream;
  driver::begin_capture(stream);
  call.run(runtime, stream);
  const driver::Graph graph = driver::end_capture(stream);
  for (int replay = 0; replay < 3; ++replay) {
    call.poison();
    graph.launch(stream);
    driver::synchronize(stream);
    CHECK(call.fault() == "");
  }
}

TEST_CASE("an operator that is not loaded refuses to be captured, and the capture goes on",
          "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  Runtime runtime(test_options());
  AttentionCall call(kCase);
  const driver::StreamHandle stream;
  driver::begin_capture(stream);
  CHECK_THROWS_AS(call.run(runtime, stream), CaptureError);
  CHECK(runtime.counters().launches == 0);
  prepare(runtime, call.args());
  call.run(runtime, stream);
  const driver::Graph graph = driver::end_capture(stream);
  graph.launch(stream);
  driver::synchronize(stream);
  CHECK(call.fault() == "");
}

TEST_CASE("threads that need the same kernel first get it once, and each its own result", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  RuntimeOptions options = test_options();
  options.cache_directory = scratch_directory() / "threads";
  Runtime runtime(options);
  constexpr std::size_t kThreads = 4;
  std::deque<AttentionCall> calls;
  for (std::size_t i = 0; i < kThreads; ++i) calls.emplace_back(kCase);
  in_parallel(kThreads, [&](std::size_t i) {
    const driver::StreamHandle stream;
    for (int round = 0; round < 20; ++round) calls[i].run(runtime, stream);
    driver::synchronize(stream);
  });
  CHECK(runtime.counters().compiles == 1);
  CHECK(runtime.counters().launches == 20 * kThreads);
  for (const AttentionCall& call : calls) CHECK(call.fault() == "");
}

TEST_CASE("one runtime serves every device", "[gpu]") {
  SKIP_WITHOUT_GPU();
  if (driver::device_count() < 2) SKIP_TEST("one GPU");
  for (int device = 0; device < driver::device_count(); ++device) {
    const driver::ScopedDevice scope(device);
    INFO("device " << device);
    CHECK(fault_of(shared_runtime(), kCase) == "");
  }
}

TEST_CASE("require_prewarmed refuses what no cache has, and runs what one has", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  RuntimeOptions options = test_options();
  options.cache_directory = scratch_directory() / "prewarmed";
  options.require_prewarmed = true;
  AttentionCall call(kCase);
  {
    Runtime runtime(options);
    CHECK_THROWS_AS(call.run(runtime), NotPrewarmedError);
    CHECK_THROWS_AS(prepare(runtime, call.args()), NotPrewarmedError);
    CHECK(runtime.counters().compiles == 0);
    CHECK(runtime.counters().launches == 0);
  }
  options.require_prewarmed = false;
  CHECK(prepare(*std::make_unique<Runtime>(options), call.args()).origin == "compiled");
  options.require_prewarmed = true;
  Runtime runtime(options);
  call.poison();
  call.run(runtime);
  driver::synchronize_device();
  CHECK(call.fault() == "");
  CHECK(runtime.counters().compiles == 0);
  CHECK(runtime.counters().directory_hits == 1);
}

}  // namespace sprue::test
