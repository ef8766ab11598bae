// sprue explain.
#include "support/catch.h"
#include "support/nvrtc.h"
#include "tools/sandbox.h"

namespace sprue::test {

TEST_CASE("explain says where every value comes from") {
  Sandbox box;
  const auto json = box.run({"explain", "toy", "ADD=200", "--arch", "sm_90a", "--json"}).json();
  CHECK(json["device"] == "sm_90a");
  CHECK(json["architecture"] == "sm_90");
  CHECK(json["problem"]["ADD"]["because"] == "given");
  CHECK(json["schedule"]["THREADS"]["value"] == "128");
  CHECK(json["schedule"]["THREADS"]["because"] == "default row");
  CHECK(json["default_row"] == "row 1 of 2, for ADD > 100; measured: nowhere");
  CHECK_THAT(json["cache"].get<std::string>(), StartsWith("in no cache"));

  const Result text = box.run({"explain", "toy", "ADD=200", "THREADS=32", "--arch", "sm_90a"});
  CHECK(text.code == 0);
  CHECK_THAT(text.out, StartsWith("toy for sm_90, which is what a sm_90a device gets\n"));
  CHECK_THAT(text.out, Contains("THREADS      32  given\n"));
}

TEST_CASE("explain tells of tuned rows, and why one is not used") {
  Sandbox box;
  box.write("tuned.json",
            R"({"tuned": [{"kernel": "toy", "problem": {"ADD": 200}, "schedule": {"THREADS": 32}},
                                         {"kernel": "toy", "problem": {"ADD": 0}, "schedule": {"THREADS": 128}}]})");
  const auto explain = [&](const std::string& add) {
    return box.run({"explain", "toy", add, "--arch", "sm_80", "--tuned", box.file("tuned.json"), "--json"})
        .json();
  };
  const auto used = explain("ADD=200");
  CHECK(used["schedule"]["THREADS"]["value"] == "32");
  CHECK(used["schedule"]["THREADS"]["because"] == "tuned row");
  CHECK_THAT(used["tuned_row"].get<std::string>(), Contains("tuned.json:1"));
  const auto illegal = explain("ADD=0");
  CHECK(illegal["schedule"]["THREADS"]["value"] == "64");
  CHECK(illegal["schedule"]["THREADS"]["because"] == "default row");
  CHECK_THAT(illegal["tuned_row"].get<std::string>(), Contains("is not used: nothing takes so many to add"));
  CHECK(explain("ADD=1")["tuned_row"] == "none fits this problem and architecture");
}

TEST_CASE("explain of an illegal spec says why") {
  Sandbox box;
  const Result result = box.run({"explain", "toy", "ADD=0", "THREADS=128", "--arch", "sm_80"});
  CHECK(result.code == 2);
  CHECK_THAT(result.err, Contains("nothing takes so many to add"));
  CHECK(box.run({"explain"}).code == 2);
}

TEST_CASE("explain finds the kernel in the cache, and what makes two entries differ") {
  SKIP_WITHOUT_NVRTC();
  Sandbox box;
  box.write("toy.json", R"({"kernels": [{"kernel": "toy", "problem": {"ADD": [1, 2]}}]})");
  REQUIRE(box.run({"prewarm", box.file("toy.json"), "--arch", "sm_80"}).code == 0);
  const auto json = box.run({"explain", "toy", "ADD=1", "--arch", "sm_80", "--json"}).json();
  CHECK_THAT(json["cache"].get<std::string>(), Contains("in the cache directory"));

  const auto entries = box.run({"cache", "ls", "--json"}).json();
  REQUIRE(entries.size() == 2);
  const Result diff = box.run({"explain", "--diff", entries[0]["name"], entries[1]["file"]});
  CHECK(diff.code == 0);
  CHECK_THAT(diff.out, Contains("source: the first lines that differ"));
  CHECK_THAT(diff.out, Contains("constexpr int kAdd = 1;"));
  CHECK_THAT(diff.out, Contains("constexpr int kAdd = 2;"));
  CHECK_THAT(diff.out, !Contains("architecture"));
  CHECK_THAT(box.run({"explain", "--diff", entries[0]["name"], entries[0]["file"]}).out,
             Contains("Nothing differs"));
  CHECK(box.run({"explain", "--diff", "xyz", entries[0]["name"]}).code == 2);
  CHECK(box.run({"explain", "--diff", box.file("toy.json"), entries[0]["name"]}).code == 6);
}

}  // namespace sprue::test
