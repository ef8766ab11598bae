// Who may own and write the writable directory, and what happens where there can be none.
#include "cache/directory.h"

#include <sys/stat.h>
#include <unistd.h>

#include "cache/fixture.h"
#include "sprue/error.h"
#include "support/catch.h"

namespace sprue::cache {

TEST_CASE("a new directory and all below it is private", "[cache]") {
  const Scratch scratch;
  Store store({.directory = scratch / "a/b/cache"});
  REQUIRE(store.insert(sample(1)));
  for (const char* name : {"a", "a/b", "a/b/cache", "a/b/cache/entries", "a/b/cache/tmp"}) {
    CHECK((fs::status(scratch / name).permissions() & fs::perms::mask) == fs::perms::owner_all);
  }
  const auto mode = fs::status(file_of(scratch / "a/b/cache", sample(1).key)).permissions();
  CHECK(mode == (fs::perms::owner_read | fs::perms::owner_write));
}

TEST_CASE("a directory that others can write is refused", "[cache]") {
  const Scratch scratch;
  const fs::path place = scratch / "cache";
  fs::create_directory(place);
  for (const ::mode_t mode : {0770, 0707, 0777, 01777}) {
    REQUIRE(::chmod(place.c_str(), mode) == 0);
    CHECK_THROWS_AS(Store({.directory = place}), CacheError);
  }
  CHECK_THROWS_WITH(Store({.directory = place}),
                    Contains(place.string() + " must be writable by its owner alone") &&
                        Contains("has mode 1777") && Contains("chmod 700") &&
                        Contains("or choose another directory"));
  REQUIRE(::chmod(place.c_str(), 0755) == 0);
  CHECK_NOTHROW(Store({.directory = place}));
}

TEST_CASE("a directory of another user is refused", "[cache]") {
  if (::geteuid() != 0) SKIP_TEST("only root can give a directory away");
  const Scratch scratch;
  const fs::path place = scratch / "cache", link = scratch / "link";
  fs::create_directory(place);
  REQUIRE(::chown(place.c_str(), 12345, 12345) == 0);
  CHECK_THROWS_WITH(Store({.directory = place}),
                    Contains(place.string() + " must belong to user 0 but belongs to user 12345") &&
                        Contains("chown -R 0"));
  fs::create_directory_symlink(place, link);
  CHECK_THROWS_AS(Store({.directory = link}), CacheError);
}

TEST_CASE("a link of one's own may lead to the directory, another's may not", "[cache]") {
  const Scratch scratch;
  const fs::path place = scratch / "cache", link = scratch / "link";
  fs::create_directory(place);
  fs::create_directory_symlink(place, link);
  {
    Store store({.directory = link / ""});
    CHECK(store.insert(sample(1)));
    CHECK(fs::exists(file_of(place, sample(1).key)));
  }
  if (::geteuid() != 0) SKIP_TEST("only root can give a link away");
  REQUIRE(::lchown(link.c_str(), 12345, 12345) == 0);
  CHECK_THROWS_WITH(Store({.directory = link}), Contains("symbolic link") && Contains("user 12345"));
  CHECK_THROWS_WITH(Store({.directory = link / ""}), Contains("symbolic link"));
}

TEST_CASE("a directory that cannot be made is a warning, and the store works without it", "[cache]") {
  const Scratch scratch;
  Messages messages;
  write_file(scratch / "file", "");
  Store store({.directory = scratch / "file/cache", .log = messages.sink()});
  CHECK_THAT(messages.text(), Contains("cannot be used, so new kernels are not kept: Not a directory"));
  CHECK_FALSE(store.insert(sample(1)));
  CHECK_FALSE(store.find(sample(1).key));
  const FoundOrLock turn = store.find_or_lock(sample(1).key);
  CHECK_FALSE(turn.found);
  CHECK_FALSE(turn.lock.held());
}

TEST_CASE("a read-only directory is read, and not writing to it is one warning", "[cache]") {
  const Scratch scratch;
  const fs::path place = scratch / "cache";
  const Mount mount(place, "size=1m,mode=0700");
  if (!mount.mounted()) SKIP_TEST("this process may not mount a file system");
  REQUIRE(Store({.directory = place}).insert(sample(1)));
  write_file(file_of(place, sample(2).key), "damaged");
  REQUIRE(mount.make_read_only());

  Messages messages;
  Store store({.directory = place, .log = messages.sink()});
  CHECK_THAT(messages.text(),
             Contains("cannot be written, so new kernels are not kept: Read-only file system"));
  CHECK(store.find(sample(1).key)->entry == sample(1));
  CHECK_FALSE(store.find(sample(2).key));
  CHECK_THAT(messages.text(), Contains("is not used: it must have at least"));
  const std::string before = messages.text();
  CHECK_FALSE(store.insert(sample(3)));
  CHECK_FALSE(store.find_or_lock(sample(3).key).lock.held());
  CHECK(messages.text() == before);
}

TEST_CASE("a directory without permission to write is read", "[cache]") {
  if (::geteuid() == 0) SKIP_TEST("permissions do not bind root");
  const Scratch scratch;
  const fs::path place = scratch / "cache";
  REQUIRE(Store({.directory = place}).insert(sample(1)));
  REQUIRE(::chmod(place.c_str(), 0500) == 0);
  Messages messages;
  Store store({.directory = place, .log = messages.sink()});
  CHECK_THAT(messages.text(), Contains("Permission denied"));
  CHECK(store.find(sample(1).key));
  REQUIRE(::chmod(place.c_str(), 0700) == 0);
}

TEST_CASE("a directory whose content is deleted under a running store is filled again", "[cache]") {
  const Scratch scratch;
  Store store({.directory = scratch / "cache"});
  REQUIRE(store.insert(sample(1)));
  for (const auto& item : fs::directory_iterator(scratch / "cache")) fs::remove_all(item);
  CHECK_FALSE(store.find(sample(1).key));
  CHECK(store.find_or_lock(sample(1).key).lock.held());
  CHECK(store.insert(sample(1)));
  CHECK(store.find(sample(1).key));
}

}  // namespace sprue::cache
