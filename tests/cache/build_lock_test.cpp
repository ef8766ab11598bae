// One build for many processes; and a holder that died or stopped costs others little or nothing.
#include "cache/build_lock.h"

#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "cache/directory.h"
#include "cache/fixture.h"
#include "support/catch.h"

namespace sprue::cache {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

/// Waits until a child has made this file.
bool appears(const fs::path& file) {
  const auto deadline = Clock::now() + std::chrono::seconds(10);
  while (!fs::exists(file) && Clock::now() < deadline) std::this_thread::sleep_for(milliseconds(1));
  return fs::exists(file);
}

}  // namespace

TEST_CASE("64 processes on one cold key build it once", "[cache]") {
  const Scratch scratch;
  const Entry entry = sample(1, 100'000);
  std::vector<pid_t> children;
  for (int i = 0; i < 64; ++i) {
    children.push_back(start([&] {
      Store store({.directory = scratch / "cache"});
      const FoundOrLock turn = store.find_or_lock(entry.key);
      if (turn.found) return turn.found->entry == entry ? 0 : 1;
      if (!turn.lock.held()) return 2;
      write_file(scratch.path() / "builds" / std::to_string(::getpid()), "");
      std::this_thread::sleep_for(milliseconds(200));  // the compile
      return store.insert(entry) ? 0 : 3;
    }));
  }
  for (const pid_t child : children) CHECK(finish(child) == 0);
  CHECK(count_files(scratch / "builds", "") == 1);
  CHECK(count_files(scratch / "cache", "") == 1);
}

TEST_CASE("a lock is one's own until it is let go", "[cache]") {
  const Scratch scratch;
  Store store({.directory = scratch / "cache", .lock_wait = milliseconds(20)});
  const Key key = sample(1).key;
  FoundOrLock turn = store.find_or_lock(key);
  CHECK(turn.lock.held());
  CHECK(store.find_or_lock(sample(2).key).lock.held());
  CHECK_FALSE(store.find_or_lock(key).lock.held());
  BuildLock moved = std::move(turn.lock);
  CHECK_FALSE(store.find_or_lock(key).lock.held());
  moved = BuildLock();
  CHECK(store.find_or_lock(key).lock.held());
  CHECK(count_files(scratch / "cache", ".lock") == 0);
}

TEST_CASE("who waits gets the entry as soon as it is there", "[cache]") {
  const Scratch scratch;
  const Entry entry = sample(1);
  Store store({.directory = scratch / "cache"});
  const FoundOrLock turn = store.find_or_lock(entry.key);
  REQUIRE(turn.lock.held());
  const pid_t waiter = start([&] {
    Store other({.directory = scratch / "cache"});
    write_file(scratch / "waits", "");
    return other.find_or_lock(entry.key).found ? 0 : 1;
  });
  REQUIRE(appears(scratch / "waits"));
  REQUIRE(store.insert(entry));  // and the lock stays held
  CHECK(finish(waiter) == 0);
}

TEST_CASE("the lock of a holder that died is free", "[cache]") {
  const Scratch scratch;
  const Key key = sample(1).key;
  const pid_t holder = start([&] {
    Store store({.directory = scratch / "cache"});
    const FoundOrLock turn = store.find_or_lock(key);
    write_file(scratch / "held", "");
    ::pause();
    return 0;
  });
  REQUIRE(appears(scratch / "held"));
  ::kill(holder, SIGKILL);
  CHECK(finish(holder) == -SIGKILL);
  CHECK(count_files(scratch / "cache", ".lock") == 1);
  Store store({.directory = scratch / "cache"});
  const auto begin = Clock::now();
  CHECK(store.find_or_lock(key).lock.held());
  CHECK(Clock::now() - begin < milliseconds(500));
  CHECK(count_files(scratch / "cache", ".lock") == 0);
}

TEST_CASE("a holder that is stopped delays others for a bounded time", "[cache]") {
  const Scratch scratch;
  const Key key = sample(1).key;
  const pid_t holder = start([&] {
    Store store({.directory = scratch / "cache"});
    const FoundOrLock turn = store.find_or_lock(key);
    write_file(scratch / "held", "");
    ::pause();
    return 0;
  });
  REQUIRE(appears(scratch / "held"));
  ::kill(holder, SIGSTOP);
  Messages messages;
  Store store({.directory = scratch / "cache", .lock_wait = milliseconds(100), .log = messages.sink()});
  const auto begin = Clock::now();
  const FoundOrLock turn = store.find_or_lock(key);
  const auto waited = Clock::now() - begin;
  CHECK_FALSE(turn.found);
  CHECK_FALSE(turn.lock.held());
  CHECK(waited >= milliseconds(100));
  CHECK(waited < milliseconds(2000));
  CHECK_THAT(messages.text(), Contains("waited 100 ms for another process"));
  CHECK(store.insert(sample(1)));
  ::kill(holder, SIGKILL);
  finish(holder);
}

TEST_CASE("where locking is impossible the build goes on", "[cache]") {
  const Scratch scratch;
  Store store({.directory = scratch / "cache"});
  write_file(scratch / "cache/locks", "a file where the directory should be");
  const auto begin = Clock::now();
  const FoundOrLock turn = store.find_or_lock(sample(1).key);
  CHECK_FALSE(turn.found);
  CHECK_FALSE(turn.lock.held());
  CHECK(Clock::now() - begin < milliseconds(500));
  CHECK(store.insert(sample(1)));
}

TEST_CASE("locks exclude although their files come and go", "[cache]") {
  const Scratch scratch;
  std::vector<pid_t> children;
  for (int i = 0; i < 4; ++i) {
    children.push_back(start([&] {
      std::string problem;
      const auto directory = Directory::open_private(scratch / "cache", problem);
      for (int round = 0; round < 150;) {
        const LockAttempt attempt = try_lock(*directory, "x");
        if (!attempt.lock.held()) continue;
        // mkdir fails if another process is here too.
        if (!fs::create_directory(scratch / "inside")) return 1;
        fs::remove(scratch / "inside");
        ++round;
      }
      return 0;
    }));
  }
  for (const pid_t child : children) CHECK(finish(child) == 0);
}

}  // namespace sprue::cache
