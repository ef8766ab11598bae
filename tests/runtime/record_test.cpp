// The key record: each of its ingredients changes the key, and metadata survive the round trip.
#include "runtime/record.h"

#include <set>

#include "cache/entry.h"
#include "sprue/version.h"
#include "support/catch.h"

using namespace sprue;

namespace {

Source source() {
  return {.spec = {"tiny", {{"VALUE", std::int64_t{1}}}, {{"WARPS", std::int64_t{2}}}},
          .text = "extern \"C\" __global__ void tiny() {}",
          .launch = {64, 256, 2}};
}

std::string name(const Fields& record, const std::string& toolchain) {
  return cache::Key{cache::request_digest(record), toolchain}.name();
}

}  // namespace

TEST_CASE("every ingredient of the key changes it") {
  const Architecture arch = architecture("sm_90");
  const Fields base = key_record(source(), arch);
  std::set<std::string> names = {name(base, "0123456789abcdef"), name(base, "fedcba9876543210")};
  Source other_text = source();
  other_text.text += '\n';
  Source other_kernel = source();
  other_kernel.spec.kernel = "small";
  names.insert(name(key_record(other_text, arch), "0123456789abcdef"));
  names.insert(name(key_record(other_kernel, arch), "0123456789abcdef"));
  names.insert(name(key_record(source(), architecture("sm_90a")), "0123456789abcdef"));
  for (std::size_t i = 0; i < base.size(); ++i) {
    Fields changed = base;
    changed[i].value += 'x';
    names.insert(name(changed, "0123456789abcdef"));
  }
  CHECK(names.size() == 5 + base.size());
  CHECK(name(key_record(source(), arch), "0123456789abcdef") == name(base, "0123456789abcdef"));
}

TEST_CASE("the record names schema, kernel, architecture, options and source") {
  std::vector<std::string> names;
  for (const Field& field : key_record(source(), architecture("sm_90a"))) names.push_back(field.name);
  CHECK(names == std::vector<std::string>{"schema", "kernel", "architecture", "options", "source"});
  CHECK_THAT(*find(key_record(source(), architecture("sm_90a")), "options"), Contains("sm_90a"));
}

TEST_CASE("metadata give back what they were made of") {
  Cubin cubin;
  cubin.resources = {40, 8, 16, 1024, {"ptxas C7510: one", "ptxas C7511: two"}};
  cubin.compile_ms = 31.415;
  const Fields fields = metadata(source(), cubin, architecture("sm_90"), "13.0");
  const Cubin read = cubin_of("image", fields);
  CHECK(read.image == "image");
  CHECK(read.resources.registers == 40);
  CHECK(read.resources.spill_bytes == 8);
  CHECK(read.resources.stack_bytes == 16);
  CHECK(read.resources.static_shared_bytes == 1024);
  CHECK(read.resources.advisories == cubin.resources.advisories);
  CHECK(read.compile_ms == Approx(31.415));
  CHECK(*find(fields, "sprue") == SPRUE_VERSION);
  CHECK(cubin_of("image", {}).resources.registers == 0);
  CHECK(cubin_of("image", {{"registers", "many"}}).resources.registers == 0);
}
