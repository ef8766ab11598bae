// sprue prewarm and sprue record: workers, failures, interruption, resuming.
#include <signal.h>
#include <unistd.h>

#include <algorithm>

#include "support/catch.h"
#include "support/nvrtc.h"
#include "tools/sandbox.h"

namespace sprue::test {
namespace {

constexpr const char* kToys = R"({"kernels": [{"kernel": "toy", "problem": {"ADD": [1, 2, 3]}}]})";

std::vector<std::string> statuses(const nlohmann::ordered_json& json) {
  std::vector<std::string> found;
  for (const auto& kernel : json["kernels"]) found.push_back(kernel["status"]);
  return found;
}

}  // namespace

TEST_CASE("prewarm compiles what is missing and tells of all") {
  SKIP_WITHOUT_NVRTC();
  Sandbox box;
  box.write("toys.json", kToys);
  const Result first = box.run({"prewarm", box.file("toys.json"), "--arch", "sm_80,sm_90", "-j", "2"});
  CHECK(first.code == 0);
  CHECK_THAT(first.out, Contains("6 kernels: 6 compiled, 0 cached before, 0 failed"));
  CHECK_THAT(first.out, Contains("with 2 workers"));
  CHECK_THAT(first.err, Contains("[6/6] "));

  box.write("toys.json", R"({"kernels": [{"kernel": "toy", "problem": {"ADD": [3, 4]}}]})");
  const auto json = box.run({"prewarm", box.file("toys.json"), "--arch", "sm_80", "--json"}).json();
  CHECK(statuses(json) == std::vector<std::string>{"cached", "compiled"});
  CHECK(json["kernels"][1]["problem"]["ADD"] == 4);
  CHECK(json["kernels"][1]["registers"] > 0);
  CHECK(json["kernels"][1]["spill_bytes"] == 0);
  CHECK(json["interrupted"] == false);
}

TEST_CASE("prewarm skips architectures that a kernel is not for, and doubles") {
  SKIP_WITHOUT_NVRTC();
  Sandbox box;
  box.write(
      "toys.json",
      R"({"kernels": [{"kernel": "toy", "problem": {"ADD": 1}}, {"kernel": "toy", "problem": {"ADD": [1]}}]})");
  const auto json =
      box.run({"prewarm", box.file("toys.json"), "--arch", "sm_90,sm_90a,sm_120", "--json"}).json();
  REQUIRE(json["kernels"].size() == 1);
  CHECK(json["kernels"][0]["architecture"] == "sm_90");
  REQUIRE(json["skipped"].size() == 1);
  CHECK(json["skipped"][0] == "toy on sm_120: its architectures are sm_80, sm_90");
}

TEST_CASE("prewarm builds for the manifest's own architectures") {
  SKIP_WITHOUT_NVRTC();
  Sandbox box;
  box.write("toys.json",
            R"({"kernels": [{"kernel": "toy", "problem": {"ADD": 1}, "architectures": ["sm_90"]}]})");
  CHECK(box.run({"prewarm", box.file("toys.json"), "--json"}).json()["kernels"][0]["architecture"] ==
        "sm_90");
}

TEST_CASE("one kernel that fails does not stop the others") {
  SKIP_WITHOUT_NVRTC();
  Sandbox box;
  box.write(
      "mixed.json",
      R"({"kernels": [{"kernel": "broken", "problem": {"ADD": 1}}, {"kernel": "toy", "problem": {"ADD": 1}},
                                          {"kernel": "toy", "problem": {"ADD": 2000}}]})");
  const Result result = box.run({"prewarm", box.file("mixed.json"), "--arch", "sm_80", "--json"});
  CHECK(result.code == 4);
  const auto json = result.json();
  CHECK(statuses(json) == std::vector<std::string>{"failed", "compiled", "failed"});
  CHECK_THAT(json["kernels"][0]["error"].get<std::string>(), Contains("undeclared"));
  CHECK(json["kernels"][0]["exit_code"] == 4);
  CHECK_THAT(json["kernels"][2]["error"].get<std::string>(),
             Contains("ADD must be an integer from 0 to 1000, but is 2000"));
  CHECK(json["kernels"][2]["exit_code"] == 2);
  CHECK_THAT(box.run({"prewarm", box.file("mixed.json"), "--arch", "sm_80"}).out,
             Contains("failed: broken sm_80 ADD=1"));
}

TEST_CASE("prewarm writes a pack that serves without a compiler") {
  SKIP_WITHOUT_NVRTC();
  Sandbox box;
  box.write("toys.json", kToys);
  const std::string pack = box.file("toys.pack");
  CHECK(box.run({"prewarm", box.file("toys.json"), "--arch", "sm_80", "--pack", pack}).code == 0);
  box.set("SPRUE_NVRTC", box.file("none.so"));
  box.set("SPRUE_CACHE_DIR", box.file("other"));
  box.set("SPRUE_CACHE_READONLY", pack);
  const auto json = box.run({"prewarm", box.file("toys.json"), "--arch", "sm_80", "--json"}).json();
  CHECK(statuses(json) == std::vector<std::string>{"cached", "cached", "cached"});
  CHECK(json["kernels"][0]["origin"] == "read_only");
}

TEST_CASE("prewarm --force compiles again") {
  SKIP_WITHOUT_NVRTC();
  Sandbox box;
  box.write("toys.json", kToys);
  REQUIRE(box.run({"prewarm", box.file("toys.json"), "--arch", "sm_80"}).code == 0);
  const auto json =
      box.run({"prewarm", box.file("toys.json"), "--arch", "sm_80", "--force", "--json"}).json();
  CHECK(statuses(json) == std::vector<std::string>{"compiled", "compiled", "compiled"});
}

TEST_CASE("prewarm --fail-on-spill is exit code 8 for a kernel that spills") {
  SKIP_WITHOUT_NVRTC();
  Sandbox box;
  std::string source = box.read("templates/toy/toy.cu");
  source.replace(source.find("extern"), std::string::npos,
                 R"(extern "C" __global__ void __launch_bounds__(1024) toy(float* y) {
  float row[128];
  for (int i = 0; i < 128; ++i) row[i] = y[i * kThreads + threadIdx.x];
  __syncthreads();
  for (int i = 0; i < 128; ++i) y[i * kThreads + threadIdx.x] = row[127 - i] + kAdd;
}
)");
  box.write("templates/toy/toy.cu", source);
  box.write("toys.json", kToys);
  const Result result =
      box.run({"prewarm", box.file("toys.json"), "--arch", "sm_80", "--fail-on-spill", "--json"});
  CHECK(result.code == 8);
  CHECK(result.json()["kernels"][0]["spill_bytes"] > 0);
  CHECK_THAT(result.err, Contains("warning: compiled toy"));
  CHECK(box.run({"prewarm", box.file("toys.json"), "--arch", "sm_80"}).code == 0);
}

TEST_CASE("require_prewarmed makes prewarm a check: exit code 7") {
  Sandbox box;
  box.write("toys.json", kToys);
  box.set("SPRUE_REQUIRE_PREWARMED", "1");
  const Result result = box.run({"prewarm", box.file("toys.json"), "--arch", "sm_80"});
  CHECK(result.code == 7);
  CHECK_THAT(result.out, Contains("3 failed"));
}

TEST_CASE("a worker that is killed fails its kernel alone and is replaced") {
  SKIP_WITHOUT_NVRTC();
  Sandbox box;
  box.write("mixed.json", R"({"kernels": [{"kernel": "toy", "problem": {"ADD": [1, 2]}},
                                          {"kernel": "slow", "problem": {"SEED": 1, "LENGTH": 400}}]})");
  const pid_t prewarm =
      box.start({"prewarm", box.file("mixed.json"), "--arch", "sm_80", "-j", "1", "--json"});
  std::vector<pid_t> workers;
  REQUIRE(eventually([&] { return workers = children_of(prewarm), !workers.empty(); }));
  REQUIRE(workers.size() == 1);
  usleep(300'000);  // the heaviest kernel is the first
  kill(workers.front(), SIGKILL);
  const Result result = box.finish(prewarm);
  CHECK(result.code == 1);
  const auto json = result.json();
  CHECK(statuses(json) == std::vector<std::string>{"compiled", "compiled", "failed"});
  CHECK(json["kernels"][2]["error"] == "the worker process was killed by signal 9 (Killed)");
}

TEST_CASE("Ctrl-C ends the workers, and the next prewarm resumes") {
  SKIP_WITHOUT_NVRTC();
  Sandbox box;
  box.write("toys.json", R"({"kernels": [{"kernel": "toy", "problem": {"ADD": [1, 2]}},
                                         {"kernel": "slow", "problem": {"SEED": [1, 2, 3, 4], "LENGTH": 30}}]})");
  const std::vector<std::string> command = {"prewarm", box.file("toys.json"), "--arch", "sm_80", "-j", "1",
                                            "--json"};
  const pid_t prewarm = box.start(command);
  REQUIRE(eventually([&] { return box.read("err.txt").find("[1/6]") != std::string::npos; }));
  const auto workers = children_of(prewarm);
  kill(prewarm, SIGINT);
  const Result result = box.finish(prewarm);
  CHECK(result.code == 130);
  CHECK_THAT(result.err, Contains("interrupted"));
  for (const pid_t worker : workers) CHECK(kill(worker, 0) != 0);
  CHECK(result.json()["interrupted"] == true);
  const auto before = statuses(result.json());
  CHECK(std::count(before.begin(), before.end(), "not reached") >= 3);

  const Result again = box.run(command);
  CHECK(again.code == 0);
  const auto after = statuses(again.json());
  CHECK(std::count(after.begin(), after.end(), "cached") >= 1);
  CHECK(std::count(after.begin(), after.end(), "failed") == 0);
}

TEST_CASE("workers end when the process that gave the jobs is killed") {
  SKIP_WITHOUT_NVRTC();
  Sandbox box;
  box.write("slow.json",
            R"({"kernels": [{"kernel": "slow", "problem": {"SEED": [1, 2, 3, 4], "LENGTH": 30}}]})");
  const pid_t prewarm = box.start({"prewarm", box.file("slow.json"), "--arch", "sm_80", "-j", "2"});
  std::vector<pid_t> workers;
  REQUIRE(eventually([&] { return workers = children_of(prewarm), workers.size() == 2; }));
  kill(prewarm, SIGKILL);
  CHECK(box.finish(prewarm).code == 128 + SIGKILL);
  for (const pid_t worker : workers) CHECK(eventually([&] { return kill(worker, 0) != 0; }));
}

TEST_CASE("prewarm refuses a manifest that is wrong") {
  Sandbox box;
  CHECK(box.run({"prewarm", box.file("absent.json"), "--arch", "sm_80"}).code == 2);
  box.write("wrong.json", R"({"kernels": [{"kernel": 1}]})");
  const Result result = box.run({"prewarm", box.file("wrong.json"), "--arch", "sm_80"});
  CHECK(result.code == 3);
  CHECK_THAT(result.err, Contains("wrong.json:1:"));
  box.write("unknown.json", R"({"kernels": [{"kernel": "tyo", "problem": {}}]})");
  CHECK_THAT(box.run({"prewarm", box.file("unknown.json"), "--arch", "sm_80"}).err,
             Contains("there is no kernel 'tyo'"));
  box.set("SPRUE_CACHE", "off");
  CHECK_THAT(box.run({"prewarm", "default", "--arch", "sm_80"}).err, Contains("--cache DIR"));
}

TEST_CASE("record runs a program and hands on its exit code") {
  Sandbox box;
  const std::string manifest = box.file("recorded.json");
  const std::string entry =
      R"({"kernels": [{"kernel": "toy", "problem": {"ADD": 5}, "architectures": ["sm_80"]}]})";
  box.write("entry.json", entry);
  const Result result =
      box.run({"record", manifest, "--", "sh", "-c", "cp " + box.file("entry.json") + " \"$SPRUE_RECORD\""});
  CHECK(result.code == 0);
  CHECK_THAT(result.err, Contains("toy     sm_80  ADD=5"));
  CHECK_THAT(result.err, Contains("1 kernels recorded, 1 in " + manifest));

  CHECK(box.run({"record", manifest, "--", "sh", "-c", "exit 3"}).code == 3);
  CHECK(box.run({"record", box.file("none.json"), "--", "true"}).code == 8);
  const Result absent = box.run({"record", manifest, "--", "no-such-program"});
  CHECK(absent.code == 2);
  CHECK_THAT(absent.err, Contains("no-such-program cannot be run"));
}

}  // namespace sprue::test
