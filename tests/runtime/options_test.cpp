// Options from the environment: every variable, every kind of bad value, and the default cache directory.
#include "runtime/options.h"

#include "runtime/environment.h"
#include "support/catch.h"

using namespace sprue;
using Paths = std::vector<std::filesystem::path>;

TEST_CASE("an empty environment gives the defaults") {
  const Environment environment{
      {"SPRUE_CACHE_DIR", {}}, {"SPRUE_CACHE", ""},          {"SPRUE_CACHE_LIMIT", ""},
      {"SPRUE_TUNED", {}},     {"SPRUE_TEMPLATES", {}},      {"SPRUE_NVRTC", {}},
      {"SPRUE_RECORD", {}},    {"SPRUE_CACHE_READONLY", {}}, {"SPRUE_REQUIRE_PREWARMED", {}}};
  const RuntimeOptions options = RuntimeOptions::from_environment();
  CHECK(options.cache_directory.empty());
  CHECK(options.read_only_caches.empty());
  CHECK(options.cache_limit_bytes == 1u << 30);
  CHECK(options.disk_cache);
  CHECK_FALSE(options.require_prewarmed);
  CHECK(options.template_directory.empty());
  CHECK(options.tuned.empty());
  CHECK(options.record.empty());
  CHECK(options.nvrtc.empty());
}

TEST_CASE("every variable sets its option") {
  const Environment environment{{"SPRUE_CACHE_DIR", "/c"},   {"SPRUE_CACHE", "off"},
                                {"SPRUE_CACHE_LIMIT", "3M"}, {"SPRUE_CACHE_READONLY", "/a:/b.pack"},
                                {"SPRUE_TUNED", "t.json"},   {"SPRUE_TEMPLATES", "/t"},
                                {"SPRUE_RECORD", "/r.json"}, {"SPRUE_REQUIRE_PREWARMED", "1"},
                                {"SPRUE_NVRTC", "/n"}};
  const RuntimeOptions options = RuntimeOptions::from_environment();
  CHECK(options.cache_directory == "/c");
  CHECK(options.read_only_caches == Paths{"/a", "/b.pack"});
  CHECK(options.cache_limit_bytes == 3u << 20);
  CHECK_FALSE(options.disk_cache);
  CHECK(options.require_prewarmed);
  CHECK(options.template_directory == "/t");
  CHECK(options.tuned == Paths{"t.json"});
  CHECK(options.record == "/r.json");
  CHECK(options.nvrtc == "/n");
}

TEST_CASE("a size may have a unit") {
  const auto limit = [](const char* text) {
    const Environment environment{{"SPRUE_CACHE_LIMIT", text}};
    return RuntimeOptions::from_environment().cache_limit_bytes;
  };
  CHECK(limit("0") == 0);
  CHECK(limit("12345") == 12345);
  CHECK(limit("7K") == 7168);
  CHECK(limit("2G") == std::uint64_t{2} << 30);
  CHECK(limit("18446744073709551615") == ~std::uint64_t{0});
  for (const char* bad : {"x", "-1", "1T", "1 M", "1MB", "18446744073709551616", "18014398509481984K"}) {
    CHECK_THROWS_WITH(limit(bad),
                      std::string("SPRUE_CACHE_LIMIT must be a number of bytes, such as 1073741824, "
                                  "512M or 2G (0: no limit), but is '") +
                          bad + "'");
  }
}

TEST_CASE("a bad value names the variable, what is expected and what is given") {
  {
    const Environment environment{{"SPRUE_CACHE", "maybe"}};
    CHECK_THROWS_WITH(RuntimeOptions::from_environment(),
                      "SPRUE_CACHE must be 1, on, true, 0, off or false, but is 'maybe'");
    CHECK_THROWS_AS(RuntimeOptions::from_environment(), ArgumentError);
  }
  const Environment environment{{"SPRUE_CACHE_READONLY", "/a::/b"}};
  CHECK_THROWS_WITH(RuntimeOptions::from_environment(),
                    "SPRUE_CACHE_READONLY must be paths separated by single colons, but is '/a::/b'");
}

TEST_CASE("the default cache directory follows the XDG standard") {
  const auto directory = [](std::optional<std::string> xdg, std::optional<std::string> home) {
    const Environment environment{{"XDG_CACHE_HOME", xdg}, {"HOME", home}};
    return default_cache_directory();
  };
  CHECK(directory("/x", "/home/u") == "/x/sprue");
  CHECK(directory({}, "/home/u") == "/home/u/.cache/sprue");
  CHECK(directory("relative", "/home/u") == "/home/u/.cache/sprue");
  CHECK(directory({}, {}).empty());
}

TEST_CASE("options that cannot work are refused") {
  RuntimeOptions options;
  CHECK_NOTHROW(check(options));
  SECTION("template_directory") {
    options.template_directory = "/nowhere";
    CHECK_THROWS_WITH(check(options),
                      "template_directory (SPRUE_TEMPLATES) must be a directory, but '/nowhere' is none");
  }
  SECTION("allocator") {
    options.allocator.allocate = [](std::size_t, Stream) -> void* { return nullptr; };
    CHECK_THROWS_WITH(check(options), "allocator must have both functions or neither, but has only allocate");
  }
}
