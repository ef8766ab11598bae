// Writers that are killed and disks that are full: no partial entry is ever visible.
#include <signal.h>
#include <unistd.h>

#include <random>

#include "cache/fixture.h"
#include "support/catch.h"

namespace sprue::cache {

TEST_CASE("a writer killed at any moment leaves whole entries and leftovers that are swept", "[cache]") {
  const Scratch scratch;
  const fs::path place = scratch / "cache";
  std::mt19937 random(7);
  Store reader({.directory = place});
  for (int round = 0; round < 60; ++round) {
    const pid_t writer = start([&] {
      Store store({.directory = place});
      for (int n = 0;; n = (n + 1) % 8) {
        const FoundOrLock turn = store.find_or_lock(sample(n, 50'000).key);
        store.insert(sample(n, 50'000));
      }
      return 0;
    });
    ::usleep(500 + random() % 15'000);
    ::kill(writer, SIGKILL);
    REQUIRE(finish(writer) == -SIGKILL);
    for (const Listed& listed : list(place)) REQUIRE(listed.problem == "");
  }
  CHECK(count_files(place, ".sprue") > 0);
  CHECK(count_files(place, ".bad") == 0);

  // Leftovers of writers that may still be at work stay; old ones go, and locks that nobody holds go at once.
  const int leftovers = count_files(place / "tmp", "");
  collect(place, 1 << 30);
  CHECK(count_files(place / "tmp", "") == leftovers);
  CHECK(count_files(place, ".lock") == 0);
  for (const auto& item : fs::directory_iterator(place / "tmp")) set_age(item, std::chrono::hours(2));
  CHECK(collect(place, 1 << 30).removed_leftovers == static_cast<std::uint64_t>(leftovers));
  CHECK(count_files(place / "tmp", "") == 0);
  for (int n = 0; n < 8; ++n) CHECK((reader.insert(sample(n, 50'000)) && reader.find(sample(n).key)));
}

TEST_CASE("a full disk is a warning, and nothing is left behind", "[cache]") {
  const Scratch scratch;
  const fs::path place = scratch / "cache";
  const Mount mount(place, "size=256k,mode=0700");
  if (!mount.mounted()) SKIP_TEST("this process may not mount a file system");
  Messages messages;
  Store store({.directory = place, .log = messages.sink()});
  int kept = 0;
  while (kept < 10 && store.insert(sample(kept, 60'000))) ++kept;
  CHECK(kept > 0);
  CHECK(kept < 5);
  CHECK_THAT(messages.text(), Contains("is not kept in " + place.string() + ": No space left on device"));
  CHECK(count_files(place / "tmp", "") == 0);
  CHECK_FALSE(store.find(sample(kept, 60'000).key));
  for (int n = 0; n < kept; ++n) CHECK(store.find(sample(n).key)->entry == sample(n, 60'000));
  CHECK(collect(place, 0).removed_entries == static_cast<std::uint64_t>(kept));
  CHECK(store.insert(sample(kept, 60'000)));
}

}  // namespace sprue::cache
