// Packs: find, keys, and what damage to the index and to an entry does.
#include "cache/pack.h"

#include "cache/fixture.h"
#include "sprue/error.h"
#include "support/catch.h"

namespace sprue::cache {

TEST_CASE("a pack gives back what was put in", "[cache]") {
  const Scratch scratch;
  const fs::path file = scratch / "a.pack";
  Entry repeated = sample(2);
  repeated.image = "given twice";
  const Entry other = sample(2, 50, "ffffffffff");
  write_pack(file, {sample(3), sample(2), other, sample(1), repeated});
  const Pack pack(file);
  REQUIRE(pack.size() == 4);
  for (const Entry& entry : {sample(1), sample(2), sample(3), other}) CHECK(pack.find(entry.key) == entry);
  const std::vector<Key> keys = pack.keys();
  CHECK(std::is_sorted(keys.begin(), keys.end()));
  CHECK(pack.keys(sample(2).key.request) == std::vector<Key>{sample(2).key, other.key});
  CHECK(pack.keys(sample(9).key.request).empty());
  std::string why;
  CHECK_FALSE(pack.find(sample(9).key, &why));
  CHECK(why.empty());
  CHECK(count_files(scratch.path(), "") == 1);
}

TEST_CASE("an empty pack is a pack", "[cache]") {
  const Scratch scratch;
  write_pack(scratch / "a.pack", {});
  CHECK(Pack(scratch / "a.pack").size() == 0);
}

TEST_CASE("a pack with a damaged index is refused", "[cache]") {
  const Scratch scratch;
  const fs::path file = scratch / "a.pack";
  write_pack(file, {sample(1), sample(2)});
  const std::string good = read_file(file);
  const std::size_t index_end = 16 + 2 * 112 + 32;
  for (std::size_t at = 0; at < index_end; ++at) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 1);
    write_file(file, bad);
    INFO("byte " << at);
    CHECK_THROWS_AS(Pack(file), CacheError);
  }
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{15}, std::size_t{16}, index_end - 1, index_end}) {
    write_file(file, good.substr(0, size));
    INFO("length " << size);
    CHECK_THROWS_AS(Pack(file), CacheError);
  }
  CHECK_THROWS_WITH(Pack(scratch / "nowhere"), Contains("cannot use the pack") && Contains("No such file"));
  CHECK_THROWS_WITH(Pack(scratch.path()), Contains("no regular file"));
}

TEST_CASE("a damaged entry in a pack is a miss, and the others stay", "[cache]") {
  const Scratch scratch;
  const fs::path file = scratch / "a.pack";
  write_pack(file, {sample(1), sample(2)});
  std::string bytes = read_file(file);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  write_file(file, bytes);
  const Pack pack(file);
  std::string why;
  CHECK(pack.find(pack.keys()[0]));
  CHECK_FALSE(pack.find(pack.keys()[1], &why));
  CHECK_THAT(why, Contains(file.string()) && Contains("checksum"));

  Messages messages;
  Store store({.read_only = {file}, .log = messages.sink()});
  CHECK(store.find(pack.keys()[0]));
  CHECK_FALSE(store.find(pack.keys()[1]));
  CHECK_THAT(messages.text(), Contains("checksum"));
}

TEST_CASE("a pack that is truncated while it is open gives misses", "[cache]") {
  const Scratch scratch;
  const fs::path file = scratch / "a.pack";
  write_pack(file, {sample(1)});
  const Pack pack(file);
  fs::resize_file(file, 300);
  std::string why;
  CHECK_FALSE(pack.find(sample(1).key, &why));
  CHECK_FALSE(why.empty());
}

TEST_CASE("a pack that cannot be written is an error and leaves nothing", "[cache]") {
  const Scratch scratch;
  CHECK_THROWS_WITH(write_pack(scratch / "nowhere/a.pack", {sample(1)}),
                    Contains("cannot write the pack") && Contains("No such file or directory"));
  fs::create_directories(scratch / "taken.pack/x");
  CHECK_THROWS_AS(write_pack(scratch / "taken.pack", {sample(1)}), CacheError);
  CHECK(count_files(scratch.path(), "") == 0);
}

TEST_CASE("the fuzz target starts from intact packs", "[cache]") {
  const fs::path seeds = fs::path(SPRUE_SOURCE_DIR) / "tests/fuzz/seeds/pack";
  const Pack pack(seeds / "two.pack");
  REQUIRE(pack.size() == 2);
  CHECK(pack.find(pack.keys()[0]));
  CHECK(pack.find(pack.keys()[1]));
}

}  // namespace sprue::cache
