// Prewarm manifests: the product of arrays, errors, and appending by several threads.
#include "codegen/prewarm_manifest.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <thread>

#include "samples.h"
#include "support/catch.h"

namespace sprue::codegen {
namespace {

namespace fs = std::filesystem;

std::string error_with(const std::string& kernels) {
  return error_of([&] { parse_prewarm("p.json", "{\"kernels\": [" + kernels + "]}"); });
}

struct Directory {
  fs::path path = fs::temp_directory_path() / ("sprue_prewarm_test_" + std::to_string(::getpid()));
  Directory() { fs::create_directories(path); }
  ~Directory() { fs::remove_all(path); }
};

}  // namespace

TEST_CASE("arrays in a prewarm manifest stand for their product") {
  const auto entries = parse_prewarm("p.json", R"({"kernels": [
    {"kernel": "a", "problem": {"X": [1, 2], "Y": [false, true], "Z": "bf16"}},
    {"kernel": "b", "problem": {"X": 3}, "schedule": {"W": [4, 8]}, "architectures": ["sm_80", "sm_90a"]}]})");
  std::string text;
  for (const PrewarmEntry& entry : entries)
    text += print(KernelSpec{entry.kernel, entry.problem, entry.schedule}) + '\n';
  CHECK(text ==
        "a X=1 Y=false Z=bf16\n"
        "a X=1 Y=true Z=bf16\n"
        "a X=2 Y=false Z=bf16\n"
        "a X=2 Y=true Z=bf16\n"
        "b X=3 | W=4\n"
        "b X=3 | W=8\n");
  CHECK(entries.front().architectures.empty());
  CHECK(entries.back().architectures == std::vector<std::string>{"sm_80", "sm_90a"});
  CHECK(parse_prewarm("p.json", print_prewarm(entries)) == entries);
}

TEST_CASE("prewarm manifests are refused with line and column") {
  CHECK(error_with("{}") == "p.json:1:14: the key \"kernel\" is missing here");
  CHECK(error_with(R"({"kernel": "a"})") == "p.json:1:14: the key \"problem\" is missing here");
  CHECK(error_with(R"({"kernel": "a", "problem": {"X": []}})") ==
        "p.json:1:47: X must have at least one value");
  CHECK(error_with(R"({"kernel": "a", "problem": {"X": [[1]]}})") ==
        "p.json:1:48: expected true, false, an integer or a string, but this is an array");
  CHECK(error_with(R"({"kernel": "a", "problem": {}, "arch": []})") ==
        "p.json:1:45: unknown key \"arch\"; the keys here are kernel, problem, schedule, architectures");
  CHECK(error_with(R"({"kernel": "a", "problem": {}, "architectures": ["90"]})") ==
        "p.json:1:63: an architecture must look like sm_80 or sm_90a, but is \"90\"");
}

TEST_CASE("a prewarm manifest cannot ask for a flood of kernels") {
  std::string numbers;
  for (int i = 0; i < 300; ++i) numbers += (i == 0 ? "" : ",") + std::to_string(i);
  CHECK_THAT(error_with(R"({"kernel": "a", "problem": {"X": [)" + numbers + "], \"Y\": [" + numbers + "]}}"),
             EndsWith("this makes more than 16384 kernels"));
  const std::string entry =
      R"({"kernel": "a", "problem": {"X": [)" + numbers + "]}, \"schedule\": {\"Y\": [" + numbers + "]}}";
  CHECK_THAT(error_with(entry),
             EndsWith("a manifest may list at most 16384 kernels; this entry exceeds that"));
}

TEST_CASE("an appended entry leaves what a person wrote and is added once") {
  const Directory directory;
  const fs::path file = directory.path / "prewarm.json";
  std::ofstream(file) << R"({"kernels": [{"kernel": "a", "problem": {"X": [1, 2]}}]})";
  CHECK_FALSE(append_prewarm(file, {"a", {{"X", std::int64_t{2}}}, {}, {}}));
  CHECK(append_prewarm(file, {"a", {{"X", std::int64_t{3}}}, {}, {"sm_80"}}));
  CHECK_FALSE(append_prewarm(file, {"a", {{"X", std::int64_t{3}}}, {}, {"sm_80"}}));
  std::ifstream in(file);
  CHECK(std::string(std::istreambuf_iterator<char>(in), {}) ==
        "{\n"
        "  \"kernels\": [\n"
        "    {\"kernel\": \"a\", \"problem\": {\"X\": [1, 2]}},\n"
        "    {\"kernel\": \"a\", \"problem\": {\"X\": 3}, \"architectures\": [\"sm_80\"]}\n"
        "  ]\n"
        "}\n");
}

TEST_CASE("threads append without losing an entry") {
  const Directory directory;
  const fs::path file = directory.path / "prewarm.json";
  std::vector<std::thread> threads;
  for (std::int64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (std::int64_t i = 0; i < 5; ++i) append_prewarm(file, {"a", {{"X", 5 * t + i}}, {}, {}});
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::set<std::string> seen;
  for (const PrewarmEntry& entry : read_prewarm(file)) seen.insert(print(entry.problem));
  CHECK(seen.size() == 20);
  CHECK(std::distance(fs::directory_iterator(directory.path), fs::directory_iterator()) == 1);
}

TEST_CASE("a prewarm manifest must exist to be read") {
  CHECK(error_of([] { read_prewarm("/nonexistent/prewarm.json"); }) ==
        "the prewarm manifest /nonexistent/prewarm.json does not exist");
}

}  // namespace sprue::codegen
