// sprue cache, on a cache that prewarm has filled.
#include <fstream>

#include "support/catch.h"
#include "support/nvrtc.h"
#include "tools/sandbox.h"

namespace sprue::test {
namespace {

/// toy with ADD 1 and 2, for sm_80 and sm_90: four entries.
void fill(Sandbox& box) {
  box.write("toy.json", R"({"kernels": [{"kernel": "toy", "problem": {"ADD": [1, 2]}}]})");
  REQUIRE(box.run({"prewarm", box.file("toy.json"), "--arch", "sm_80,sm_90"}).code == 0);
}

nlohmann::ordered_json ls(Sandbox& box, const std::string& cache = "") {
  const std::string tier = cache.empty() ? box.file("cache") : cache;
  return box.run({"cache", "ls", "--json", "--cache", tier}).json();
}

}  // namespace

TEST_CASE("a cache that does not exist yet is empty") {
  Sandbox box;
  const Result result = box.run({"cache", "ls"});
  CHECK(result.code == 0);
  CHECK_THAT(result.out, Contains("0 entries"));
  CHECK_THAT(result.err, Contains("does not exist yet"));
  CHECK(box.run({"cache", "verify"}).code == 0);
  CHECK(box.run({"cache", "gc"}).code == 0);
  CHECK(box.run({"cache", "path"}).out == box.file("cache") + "\n");
}

TEST_CASE("ls and show tell what an entry is") {
  SKIP_WITHOUT_NVRTC();
  Sandbox box;
  fill(box);
  const auto entries = ls(box);
  REQUIRE(entries.size() == 4);
  CHECK(entries[0]["intact"] == true);
  CHECK_THAT(box.run({"cache", "ls"}).out, Contains("toy ADD=1\n"));

  const std::string name = entries[0]["name"].get<std::string>().substr(0, 10);
  const Result shown = box.run({"cache", "show", name});
  CHECK(shown.code == 0);
  CHECK_THAT(shown.out, Contains("Key record"));
  CHECK_THAT(shown.out, Contains("registers"));
  CHECK_THAT(box.run({"cache", "show", name, "--source"}).out, StartsWith("// Rendered by Sprue: toy"));
  CHECK(box.run({"cache", "show", name, "--json"}).json()["record"]["kernel"] == "toy");
  CHECK(box.run({"cache", "show", name, "--cubin", box.file("toy.cubin")}).code == 0);
  CHECK_THAT(box.read("toy.cubin"), StartsWith("\x7f"
                                               "ELF"));
}

TEST_CASE("a name must mean one entry") {
  SKIP_WITHOUT_NVRTC();
  Sandbox box;
  fill(box);
  const Result none = box.run({"cache", "show", "xyz"});
  CHECK(none.code == 2);
  CHECK_THAT(none.err, Contains("there is no entry 'xyz' among the 4"));
  const Result many = box.run({"cache", "show", "-"});
  CHECK(many.code == 2);
  CHECK_THAT(many.err, Contains("must name one entry, but 4 start so"));
}

TEST_CASE("verify finds a damaged entry, and prewarm mends it") {
  SKIP_WITHOUT_NVRTC();
  Sandbox box;
  fill(box);
  CHECK_THAT(box.run({"cache", "verify"}).out, Contains("4 entries, 0 damaged\n"));
  const std::string file = ls(box)[1]["file"];
  std::fstream(file, std::ios::in | std::ios::out | std::ios::binary).seekp(200).put('\x55');

  const Result damaged = box.run({"cache", "verify"});
  CHECK(damaged.code == 6);
  CHECK_THAT(damaged.out, Contains(file));
  CHECK_THAT(damaged.out, Contains("4 entries, 1 damaged"));
  CHECK(box.run({"cache", "verify", "--json"}).json()["damaged"].size() == 1);

  fill(box);
  CHECK(box.run({"cache", "verify"}).code == 0);
}

TEST_CASE("export for sm_90 takes what is built for exactly sm_90a, too") {
  SKIP_WITHOUT_NVRTC();
  Sandbox box;
  std::ifstream file(box.file("templates/toy/toy.json"));
  std::string manifest{std::istreambuf_iterator<char>(file), {}};
  manifest.replace(manifest.find("sm_90"), 5, "sm_90a");
  box.write("templates/toy/toy.json", manifest);
  fill(box);
  const auto exported = [&](const char* arch) {
    return box.run({"cache", "export", "--pack", box.file("kernels.pack"), "--arch", arch}).out;
  };
  CHECK_THAT(exported("sm_90"), StartsWith("wrote 2 entries"));
  CHECK_THAT(exported("sm_90a"), StartsWith("wrote 2 entries"));
  CHECK_THAT(exported("sm_80"), StartsWith("wrote 2 entries"));
}

TEST_CASE("export and import carry entries through a pack") {
  SKIP_WITHOUT_NVRTC();
  Sandbox box;
  fill(box);
  const std::string pack = box.file("kernels.pack");
  CHECK_THAT(box.run({"cache", "export", "--pack", pack, "--arch", "sm_90"}).out,
             StartsWith("wrote 2 entries"));
  CHECK(ls(box, pack).size() == 2);
  CHECK(box.run({"cache", "verify", "--cache", pack}).code == 0);
  CHECK(box.run({"cache", "gc", "--cache", pack}).code == 2);

  const std::string other = box.file("other");
  CHECK_THAT(box.run({"cache", "import", pack, "--cache", other}).out,
             StartsWith("imported 2 entries; 0 were there"));
  CHECK_THAT(box.run({"cache", "import", box.file("cache"), "--cache", other}).out,
             StartsWith("imported 2 entries; 2 were there"));
  CHECK(ls(box, other).size() == 4);

  CHECK(box.run({"cache", "export", "--pack", pack, "--kernel", "nope"}).code == 2);
  CHECK(box.run({"cache", "import", box.file("absent")}).code == 2);
  CHECK(box.run({"cache", "import", box.file("toy.json")}).code == 6);
}

TEST_CASE("gc keeps to a limit and clear removes our files only") {
  SKIP_WITHOUT_NVRTC();
  Sandbox box;
  fill(box);
  box.write("cache/notes.txt", "mine");
  const auto one = ls(box)[0]["bytes"].get<std::uint64_t>();
  const Result gc = box.run({"cache", "gc", "--limit", std::to_string(2 * one + one / 2), "--json"});
  CHECK(gc.json()["kept_entries"] == 2);
  CHECK(ls(box).size() == 2);
  CHECK(box.run({"cache", "gc", "--limit", "lots"}).code == 2);

  const Result asked = box.run({"cache", "clear"});
  CHECK(asked.code == 2);
  CHECK_THAT(asked.err, Contains("--yes"));
  CHECK(ls(box).size() == 2);
  CHECK_THAT(box.run({"cache", "clear", "--yes"}).out, Contains("removed 2 entries"));
  CHECK(ls(box).empty());
  CHECK(box.read("cache/notes.txt") == "mine");
}

TEST_CASE("a cache that others can write is refused with exit code 6") {
  Sandbox box;
  std::filesystem::create_directory(box.file("cache"));
  std::filesystem::permissions(box.file("cache"), std::filesystem::perms::all);
  const Result result = box.run({"prewarm", "default", "--arch", "sm_80"});
  CHECK(result.code == 6);
  CHECK_THAT(result.err, Contains(box.file("cache")));
}

}  // namespace sprue::test
