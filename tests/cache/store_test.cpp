// The store when nothing goes wrong: tiers, toolchains, threads.
#include "cache/store.h"

#include <thread>

#include "cache/fixture.h"
#include "cache/pack.h"
#include "support/catch.h"

namespace sprue::cache {

TEST_CASE("what is inserted is found, by this store and by others", "[cache]") {
  const Scratch scratch;
  Store store({.directory = scratch / "cache"});
  CHECK_FALSE(store.find(sample(1).key));
  REQUIRE(store.insert(sample(1, 150'000)));
  REQUIRE(store.insert(sample(1, 150'000)));  // publishing again changes nothing
  const auto found = store.find(sample(1).key);
  REQUIRE(found);
  CHECK(found->entry == sample(1, 150'000));
  CHECK(found->tier == Tier::directory);
  CHECK(Store({.directory = scratch / "cache"}).find(sample(1).key));
  CHECK_FALSE(store.find(sample(2).key));
  CHECK(count_files(scratch / "cache", "") == 1);
}

TEST_CASE("a store without any tier finds and keeps nothing, silently", "[cache]") {
  Messages messages;
  Store store({.log = messages.sink()});
  CHECK_FALSE(store.insert(sample(1)));
  CHECK_FALSE(store.find(sample(1).key));
  CHECK_FALSE(store.find_any_toolchain(sample(1).key.request));
  CHECK_FALSE(store.find_or_lock(sample(1).key).lock.held());
  CHECK(messages.text().empty());
}

TEST_CASE("the time of creation is filled in where it is missing", "[cache]") {
  const Scratch scratch;
  Store store({.directory = scratch / "cache"});
  Entry entry = sample(1);
  entry.created = 0;
  REQUIRE(store.insert(entry));
  const auto now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  CHECK(std::abs(store.find(entry.key)->entry.created - now) < 60);
}

TEST_CASE("two toolchains share a cache and never each other's entries", "[cache]") {
  const Scratch scratch;
  Store store({.directory = scratch / "cache"});
  Entry old_build = sample(1, 100, "aaaaaaaa"), new_build = sample(1, 200, "bbbbbbbb");
  old_build.created = 1000;
  new_build.created = 2000;
  REQUIRE(store.insert(new_build));
  CHECK_FALSE(store.find(old_build.key));
  REQUIRE(store.insert(old_build));
  CHECK(store.find(old_build.key)->entry.image.size() == 100);
  CHECK(store.find(new_build.key)->entry.image.size() == 200);

  CHECK(store.find_any_toolchain(new_build.key.request)->entry == new_build);
  CHECK_FALSE(store.find_any_toolchain(sample(2).key.request));
  write_file(file_of(scratch / "cache", new_build.key), "damaged");
  CHECK(store.find_any_toolchain(new_build.key.request)->entry == old_build);
}

TEST_CASE("read-only tiers are looked at in order, after the directory", "[cache]") {
  const Scratch scratch;
  Entry first = sample(1), second = sample(1);
  first.image = "first";
  second.image = "second";
  REQUIRE(Store({.directory = scratch / "shared"}).insert(first));
  write_pack(scratch / "fleet.pack", {second, sample(2)});
  REQUIRE(Store({.directory = scratch / "cache"}).insert(sample(3)));

  Store store({.directory = scratch / "cache", .read_only = {scratch / "shared", scratch / "fleet.pack"}});
  CHECK(store.find(sample(1).key)->entry.image == "first");
  CHECK(store.find(sample(1).key)->tier == Tier::read_only);
  CHECK(store.find(sample(2).key)->tier == Tier::read_only);
  CHECK(store.find(sample(3).key)->tier == Tier::directory);
  CHECK(store.find_or_lock(sample(2).key).found);
  CHECK(store.find_any_toolchain(sample(2).key.request));
  REQUIRE(store.insert(sample(1)));
  CHECK(store.find(sample(1).key)->tier == Tier::directory);

  Store reversed({.read_only = {scratch / "fleet.pack", scratch / "shared"}});
  CHECK(reversed.find(sample(1).key)->entry.image == "second");
  CHECK_FALSE(reversed.insert(sample(4)));
}

TEST_CASE("a read-only tier is never written to", "[cache]") {
  const Scratch scratch;
  REQUIRE(Store({.directory = scratch / "shared"}).insert(sample(1)));
  const fs::path good = file_of(scratch / "shared", sample(1).key),
                 bad = file_of(scratch / "shared", sample(2).key);
  write_file(bad, "damaged");
  set_age(good, std::chrono::hours(5));
  Messages messages;
  Store store({.directory = scratch / "cache", .read_only = {scratch / "shared"}, .log = messages.sink()});
  CHECK(store.find(sample(1).key));
  CHECK(age_of(good) > std::chrono::hours(4));
  CHECK_FALSE(store.find(sample(2).key));
  CHECK(read_file(bad) == "damaged");
  CHECK_THAT(messages.text(), Contains(bad.string() + " is not used: "));
}

TEST_CASE("a bad read-only tier is a warning", "[cache]") {
  const Scratch scratch;
  write_file(scratch / "broken.pack", "no pack");
  REQUIRE(Store({.directory = scratch / "shared"}).insert(sample(1)));
  Messages messages;
  Store store({.read_only = {scratch / "nowhere", scratch / "broken.pack", scratch / "shared"},
               .log = messages.sink()});
  CHECK_THAT(messages.text(), Contains("nowhere is left out: ") && Contains("No such file"));
  CHECK_THAT(messages.text(),
             Contains("broken.pack is left out: ") && Contains("does not start like a pack"));
  CHECK(store.find(sample(1).key));
}

TEST_CASE("a key that is none never reaches the disk", "[cache]") {
  const Scratch scratch;
  Messages messages;
  Store store({.directory = scratch / "cache", .log = messages.sink()});
  Entry entry = sample(1);
  entry.key.toolchain = "/../../../escaped";
  CHECK_FALSE(store.find(entry.key));
  CHECK_FALSE(store.find_or_lock(entry.key).lock.held());
  CHECK_FALSE(store.insert(entry));
  CHECK_THAT(messages.text(), Contains("is not the name of an entry") && Contains("hexadecimal"));
  CHECK(count_files(scratch.path(), "") == 0);
}

TEST_CASE("many threads find, insert, lock and evict at once", "[cache]") {
  const Scratch scratch;
  Messages messages;
  const std::uint64_t entry_bytes = encode(sample(0)).size();
  Store store({.directory = scratch / "cache", .limit_bytes = 8 * entry_bytes, .log = messages.sink()});
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 6; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 60; ++i) {
        const Entry entry = sample((i * (t + 1)) % 12);
        const FoundOrLock turn = store.find_or_lock(entry.key);
        if (turn.found) wrong += turn.found->entry != entry;
        if (!turn.found) wrong += !store.insert(entry);
        const auto any = store.find_any_toolchain(entry.key.request);
        if (any) wrong += any->entry != entry;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
  CHECK(messages.text().empty());
  CHECK(count_files(scratch / "cache", ".lock") == 0);
}

}  // namespace sprue::cache
