// build: compiled once, then found; failures delivered and forgotten; machines without a compiler.
#include "cache/pack.h"
#include "runtime/fixture.h"
#include "runtime/record.h"
#include "runtime/threads.h"
#include "support/catch.h"

using namespace sprue;

namespace {

/// The one file of a cache directory.
fs::path only_entry(const fs::path& cache) {
  const auto entries = cache::list(cache);
  REQUIRE(entries.size() == 1);
  return entries.front().file;
}

}  // namespace

TEST_CASE("a kernel is compiled once and found by the next runtime") {
  SKIP_WITHOUT_NVRTC();
  Fixture fixture;
  Built compiled;
  {
    RuntimeImpl runtime(fixture.options());
    compiled = build_tiny(runtime, 1);
    CHECK(compiled.origin == "compiled");
    CHECK(compiled.architecture == "sm_90");
    CHECK(compiled.source.launch == LaunchShape{32, 256, 1});
    CHECK(compiled.cubin.image.substr(1, 3) == "ELF");
    CHECK(compiled.cubin.resources.registers > 0);
    CHECK(compiled.cubin.compile_ms > 0);
    CHECK(build_tiny(runtime, 1).origin == "directory");
    CHECK(runtime.counters().compiles == 1);
    CHECK(runtime.counters().directory_hits == 1);
    CHECK(runtime.counters().failures == 0);
    CHECK(runtime.counters().render_ms > 0);
    CHECK(runtime.counters().compile_ms > 0);
  }
  RuntimeImpl fresh(fixture.options());
  const Built found = build_tiny(fresh, 1);
  CHECK(found.origin == "directory");
  CHECK(found.cubin.image == compiled.cubin.image);
  CHECK(found.cubin.resources.registers == compiled.cubin.resources.registers);
  CHECK(found.cubin.compile_ms == Approx(compiled.cubin.compile_ms).margin(0.001));
  CHECK(found.source.text == compiled.source.text);
  CHECK(found.entry_name == compiled.entry_name);
  CHECK(fresh.counters().compiles == 0);
}

TEST_CASE("an entry explains itself") {
  SKIP_WITHOUT_NVRTC();
  Fixture fixture;
  RuntimeImpl runtime(fixture.options());
  const Built built = build_tiny(runtime, 1);
  const auto entries = cache::list(fixture.directory / "cache");
  REQUIRE(entries.size() == 1);
  const auto metadata = [&](std::string_view name) { return *find(entries[0].metadata, name); };
  CHECK(entries[0].key.name() == built.entry_name);
  CHECK(metadata("entry_point") == "tiny");
  CHECK(metadata("spec") == "tiny VALUE=1 | WARPS=1");
  CHECK(metadata("architecture") == "sm_90");
  CHECK(metadata("threads") == "32");
  CHECK(metadata("shared_bytes") == "256");
  CHECK(metadata("registers") == std::to_string(built.cubin.resources.registers));
  CHECK(metadata("nvrtc") == runtime.toolchain().compiler().version());
  CHECK(*find(entries[0].record, "source") == built.source.text);
}

TEST_CASE("read-only tiers: a directory and a pack") {
  SKIP_WITHOUT_NVRTC();
  Fixture fixture;
  build_tiny(*std::make_unique<RuntimeImpl>(fixture.options()), 1);
  RuntimeOptions options = fixture.options();
  options.cache_directory = fixture.directory / "other";
  SECTION("directory") {
    options.read_only_caches = {fixture.directory / "cache"};
  }
  SECTION("pack") {
    const fs::path file = only_entry(fixture.directory / "cache");
    std::ifstream stream(file, std::ios::binary);
    const auto entry = cache::decode_entry(std::string(std::istreambuf_iterator<char>(stream), {}));
    REQUIRE(entry);
    cache::write_pack(fixture.directory / "kernels.pack", {*entry});
    options.read_only_caches = {fixture.directory / "kernels.pack"};
  }
  RuntimeImpl runtime(options);
  CHECK(build_tiny(runtime, 1).origin == "read_only");
  CHECK(runtime.counters().read_only_hits == 1);
  CHECK(runtime.counters().compiles == 0);
}

TEST_CASE("disk_cache = false neither reads nor writes") {
  SKIP_WITHOUT_NVRTC();
  Fixture fixture;
  build_tiny(*std::make_unique<RuntimeImpl>(fixture.options()), 1);
  RuntimeOptions options = fixture.options();
  options.disk_cache = false;
  options.read_only_caches = {fixture.directory / "cache"};
  RuntimeImpl runtime(options);
  CHECK(build_tiny(runtime, 1).origin == "compiled");
  CHECK(build_tiny(runtime, 2).origin == "compiled");
  CHECK(cache::list(fixture.directory / "cache").size() == 1);
}

TEST_CASE("a damaged entry is compiled again") {
  SKIP_WITHOUT_NVRTC();
  Fixture fixture;
  const Built built = build_tiny(*std::make_unique<RuntimeImpl>(fixture.options()), 1);
  const fs::path file = only_entry(fixture.directory / "cache");
  std::string bytes = fixture.read(file);
  bytes[bytes.size() / 2] ^= 1;
  fixture.write(file, bytes);
  RuntimeImpl runtime(fixture.options());
  const Built again = build_tiny(runtime, 1);
  CHECK(again.origin == "compiled");
  CHECK(again.cubin.image == built.cubin.image);
  CHECK(build_tiny(runtime, 1).origin == "directory");
}

TEST_CASE("require_prewarmed: a hit is a hit, a miss compiles nothing") {
  SKIP_WITHOUT_NVRTC();
  Fixture fixture;
  build_tiny(*std::make_unique<RuntimeImpl>(fixture.options()), 1);
  RuntimeOptions options = fixture.options();
  options.require_prewarmed = true;
  RuntimeImpl runtime(options);
  CHECK(build_tiny(runtime, 1).origin == "directory");
  CHECK_THROWS_AS(build_tiny(runtime, 2), NotPrewarmedError);
  CHECK_THROWS_WITH(
      build_tiny(runtime, 2),
      "require_prewarmed is set, but no cache has this kernel; add it with `sprue prewarm`, or clear "
      "require_prewarmed (SPRUE_REQUIRE_PREWARMED): tiny VALUE=2 | WARPS=1 for sm_90");
  CHECK(runtime.counters().compiles == 0);
  CHECK(runtime.counters().failures == 2);
}

TEST_CASE("without a compiler a prewarmed kernel of any toolchain will do") {
  SKIP_WITHOUT_NVRTC();
  Fixture fixture;
  build_tiny(*std::make_unique<RuntimeImpl>(fixture.options()), 1);
  RuntimeImpl runtime(fixture.without_compiler());
  CHECK(build_tiny(runtime, 1).origin == "directory");
  CHECK_THROWS_AS(build_tiny(runtime, 2), CompileError);
  CHECK_THROWS_WITH(build_tiny(runtime, 2),
                    Contains("no usable NVRTC") && Contains(fixture.directory / "nowhere"));
  RuntimeOptions strict = fixture.without_compiler();
  strict.require_prewarmed = true;
  RuntimeImpl prewarmed(strict);
  CHECK(build_tiny(prewarmed, 1).origin == "directory");
  CHECK_THROWS_AS(build_tiny(prewarmed, 2), NotPrewarmedError);
}

TEST_CASE("with a compiler only its own kernels are used") {
  SKIP_WITHOUT_NVRTC();
  Fixture fixture;
  RuntimeImpl runtime(fixture.options());
  const Architecture arch = architecture("sm_90");
  const Source source = runtime.render(runtime.specify({"tiny", {{"VALUE", std::int64_t{1}}}}, arch));
  const Fields record = key_record(source, arch);
  REQUIRE(runtime.store().insert({.key = {cache::request_digest(record), "0123456789abcdef"},
                                  .record = record,
                                  .metadata = {},
                                  .image = "not a cubin",
                                  .source = source.text}));
  RuntimeOptions strict = fixture.options();
  strict.require_prewarmed = true;
  RuntimeImpl prewarmed(strict);
  CHECK_THROWS_WITH(build_tiny(prewarmed, 1),
                    Contains("(there is one from toolchain 0123456789abcdef, but this one is "));
  CHECK(build_tiny(runtime, 1).origin == "compiled");
  RuntimeImpl without(fixture.without_compiler());
  CHECK(build_tiny(without, 1).origin == "directory");
}

TEST_CASE("a compiler that appears later is found") {
  SKIP_WITHOUT_NVRTC();
  Fixture fixture;
  RuntimeImpl runtime(fixture.without_compiler());
  CHECK_THROWS_AS(build_tiny(runtime, 1), CompileError);
  fs::create_directory_symlink(fs::path(compiler::find_compiler(nvrtc_search())->path).parent_path(),
                               fixture.directory / "nowhere");
  CHECK(build_tiny(runtime, 1).origin == "compiled");
}

TEST_CASE("threads that want one kernel compile it once") {
  SKIP_WITHOUT_NVRTC();
  Fixture fixture;
  RuntimeImpl runtime(fixture.options());
  const auto images = in_threads(8, [&] { return build_tiny(runtime, 1).cubin.image; });
  CHECK(images == std::vector<std::string>(8, images.front()));
  CHECK(runtime.counters().compiles == 1);
  CHECK(runtime.counters().waits + runtime.counters().directory_hits == 7);
}

TEST_CASE("a failed compile reaches every caller, is not cached, and works once the template is repaired") {
  SKIP_WITHOUT_NVRTC();
  Fixture fixture;
  fixture.write_template("extern \"C\" __global__ void tiny(int* out) { out[0] = kValu; }\n");
  RuntimeImpl runtime(fixture.options());
  for (const std::string& answer : in_threads(4, [&] { return build_tiny(runtime, 1).origin; })) {
    CHECK_THAT(answer, Contains("kValu"));
  }
  const auto failures = runtime.counters().failures;
  CHECK(failures >= 1);
  CHECK(failures + runtime.counters().waits == 4);
  CHECK_THROWS_AS(build_tiny(runtime, 1), CompileError);
  CHECK(runtime.counters().failures == failures + 1);
  CHECK(runtime.counters().compiles == 0);
  CHECK(cache::list(fixture.directory / "cache").empty());

  fixture.write_template(kTinyBody);
  RuntimeImpl repaired(fixture.options());
  CHECK(build_tiny(repaired, 1).origin == "compiled");
}

TEST_CASE("a cancelled compile is a CancelledError and leaves nothing behind") {
  SKIP_WITHOUT_NVRTC();
  Fixture fixture;
  RuntimeImpl runtime(fixture.options());
  const Architecture arch = architecture("sm_90");
  const KernelSpec spec = runtime.specify({"tiny", {{"VALUE", std::int64_t{1}}}}, arch);
  CHECK_THROWS_AS(runtime.build(spec, arch, [] { return true; }), CancelledError);
  CHECK(build_tiny(runtime, 1).origin == "compiled");
}

TEST_CASE("the shipped rms_norm builds") {
  SKIP_WITHOUT_NVRTC();
  Fixture fixture;
  RuntimeOptions options = fixture.options();
  options.template_directory.clear();
  RuntimeImpl runtime(options);
  const Values problem = {{"SCALAR", std::string("bf16")},
                          {"HIDDEN", std::int64_t{4096}},
                          {"HAS_WEIGHT", true},
                          {"ALIGNMENT", std::int64_t{16}},
                          {"ROW_DIMS", std::int64_t{1}}};
  const Architecture arch = architecture("sm_90");
  const Built built = runtime.build(runtime.specify({"rms_norm", problem}, arch), arch);
  CHECK(built.origin == "compiled");
  CHECK(built.cubin.resources.spill_bytes == 0);
}
