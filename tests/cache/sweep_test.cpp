// The byte limit, the order of eviction, stamps under a clock that jumps; list and collect.
#include <unistd.h>

#include "cache/fixture.h"
#include "cache/pack.h"
#include "sprue/error.h"
#include "support/catch.h"

namespace sprue::cache {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

std::uint64_t bytes_of_one() {
  return encode(sample(0)).size();
}

/// A cache with entries 0 to n-1, the first used longest ago, one hour between each.
void fill(const fs::path& place, int n) {
  Store store({.directory = place});
  for (int i = 0; i < n; ++i) {
    REQUIRE(store.insert(sample(i)));
    set_age(file_of(place, sample(i).key), hours(n - i));
  }
}

std::string kept(const fs::path& place, int n) {
  std::string numbers;
  for (int i = 0; i < n; ++i) {
    if (fs::exists(file_of(place, sample(i).key))) numbers += std::to_string(i);
  }
  return numbers;
}

}  // namespace

TEST_CASE("the least recently used entries go first", "[cache]") {
  const Scratch scratch;
  const fs::path place = scratch / "cache";
  fill(place, 6);
  REQUIRE(Store({.directory = place}).find(sample(0).key));  // a hit is a use
  const GcResult result = collect(place, 3 * bytes_of_one());
  CHECK(kept(place, 6) == "045");
  CHECK(result.removed_entries == 3);
  CHECK(result.removed_bytes == 3 * bytes_of_one());
  CHECK(result.kept_entries == 3);
  CHECK(result.kept_bytes == 3 * bytes_of_one());
  CHECK(collect(place, 3 * bytes_of_one()).removed_entries == 0);
  CHECK(collect(place, 0).removed_entries == 3);
  CHECK(list(place).empty());
}

TEST_CASE("an insert beyond the limit evicts", "[cache]") {
  const Scratch scratch;
  const fs::path place = scratch / "cache";
  fill(place, 5);
  Store store({.directory = place, .limit_bytes = 5 * bytes_of_one()});
  REQUIRE(store.insert(sample(5)));
  CHECK(kept(place, 6) == "2345");  // a tenth stays free
  for (int i = 6; i < 40; ++i) REQUIRE(store.insert(sample(i)));
  CHECK(list(place).size() <= 5);
  CHECK(store.find(sample(39).key));
}

TEST_CASE("no limit keeps everything", "[cache]") {
  const Scratch scratch;
  fill(scratch / "cache", 5);
  Store store({.directory = scratch / "cache", .limit_bytes = 0});
  REQUIRE(store.insert(sample(5)));
  CHECK(kept(scratch / "cache", 6) == "012345");
}

TEST_CASE("an entry larger than the limit is not kept and costs no other", "[cache]") {
  const Scratch scratch;
  fill(scratch / "cache", 3);
  Messages messages;
  Store store({.directory = scratch / "cache", .limit_bytes = 3 * bytes_of_one(), .log = messages.sink()});
  CHECK_FALSE(store.insert(sample(9, 10'000)));
  CHECK_THAT(messages.text(),
             Contains("the limit of the whole cache is " + std::to_string(3 * bytes_of_one())));
  CHECK(kept(scratch / "cache", 3) == "012");
}

TEST_CASE("inserts far below the limit do not look at the directory", "[cache]") {
  const Scratch scratch;
  const fs::path place = scratch / "cache";
  Store store({.directory = place});
  REQUIRE(store.insert(sample(0)));
  const fs::path unswept = place / "locks" / "x.lock";
  write_file(unswept, "");
  for (int i = 1; i < 20; ++i) REQUIRE(store.insert(sample(i)));
  CHECK(fs::exists(unswept));
}

TEST_CASE("a hit is stamped once a minute, and only the modification time", "[cache]") {
  const Scratch scratch;
  Store store({.directory = scratch / "cache"});
  REQUIRE(store.insert(sample(1)));
  const fs::path file = file_of(scratch / "cache", sample(1).key);
  set_age(file, seconds(30));
  REQUIRE(store.find(sample(1).key));
  CHECK(age_of(file) >= seconds(30));
  set_age(file, seconds(90));
  REQUIRE(store.find(sample(1).key));
  CHECK(age_of(file) < seconds(20));
}

TEST_CASE("a stamp of the future ages from now on", "[cache]") {
  const Scratch scratch;
  const fs::path place = scratch / "cache";
  fill(place, 3);
  const fs::path file = file_of(place, sample(0).key);
  set_age(file, -hours(24 * 365));
  SECTION("by a sweep") {
    CHECK(collect(place, 1 << 30).kept_entries == 3);
  }
  SECTION("by a hit") {
    REQUIRE(Store({.directory = place}).find(sample(0).key));
  }
  CHECK(age_of(file) >= seconds(0));
  CHECK(age_of(file) < seconds(20));
}

TEST_CASE("a clock set back evicts no more than the limit asks for", "[cache]") {
  const Scratch scratch;
  const fs::path place = scratch / "cache";
  fill(place, 4);
  for (int i = 0; i < 4; ++i) set_age(file_of(place, sample(i).key), -hours(1000 + i));
  CHECK(collect(place, 4 * bytes_of_one()).removed_entries == 0);
  for (int i = 0; i < 4; ++i) set_age(file_of(place, sample(i).key), -hours(1000 + i));
  CHECK(collect(place, 3 * bytes_of_one()).removed_entries == 1);
}

TEST_CASE("collect leaves what it does not know and what is in use", "[cache]") {
  const Scratch scratch;
  const fs::path place = scratch / "cache";
  fill(place, 1);
  Store store({.directory = place});
  const FoundOrLock turn = store.find_or_lock(sample(7).key);
  REQUIRE(turn.lock.held());
  write_file(place / "entries/ab/notes.txt", "mine");
  write_file(place / "entries/ab/fresh.bad", "");
  write_file(place / "entries/ab/old.bad", "");
  write_file(place / "tmp/skewed", "");
  set_age(place / "entries/ab/old.bad", hours(2));
  set_age(place / "tmp/skewed", -hours(48));
  CHECK(collect(place, 0).removed_leftovers == 2);
  CHECK(fs::exists(place / "entries/ab/notes.txt"));
  CHECK(fs::exists(place / "entries/ab/fresh.bad"));
  CHECK(count_files(place, ".lock") == 1);
  CHECK_THROWS_WITH(collect(scratch / "nowhere", 0), Contains("cannot open") && Contains("nowhere"));
}

TEST_CASE("list verifies every entry and changes nothing", "[cache]") {
  const Scratch scratch;
  const fs::path place = scratch / "cache";
  fill(place, 3);
  write_file(file_of(place, sample(1).key), "damaged");
  const auto listed = list(place);
  REQUIRE(listed.size() == 3);
  for (std::size_t i = 1; i < 3; ++i) CHECK(listed[i - 1].key < listed[i].key);
  for (const Listed& item : listed) {
    CHECK(item.file == file_of(place, item.key));
    CHECK(item.intact == (item.key != sample(1).key));
    CHECK(item.problem.empty() == item.intact);
    if (!item.intact) continue;
    CHECK(item.bytes == bytes_of_one());
    CHECK(item.record == sample(item.key == sample(0).key ? 0 : 2).record);
    CHECK(item.metadata == sample(0).metadata);
  }
  CHECK(read_file(file_of(place, sample(1).key)) == "damaged");
  CHECK_THROWS_AS(list(scratch / "nowhere"), CacheError);
}

TEST_CASE("list reads packs too", "[cache]") {
  const Scratch scratch;
  write_pack(scratch / "a.pack", {sample(2), sample(1)});
  const auto listed = list(scratch / "a.pack");
  REQUIRE(listed.size() == 2);
  CHECK(listed[0].key < listed[1].key);
  CHECK(listed[0].intact);
  CHECK(listed[0].file == scratch / "a.pack");
  CHECK(listed[0].metadata == sample(1).metadata);
}

}  // namespace sprue::cache
