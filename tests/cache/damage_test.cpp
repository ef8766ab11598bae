// Damaged files in a store: each is a miss, is set aside, and is healed by the next insert.
#include <sys/stat.h>

#include <atomic>
#include <thread>

#include "cache/directory.h"
#include "cache/fixture.h"
#include "support/catch.h"

namespace sprue::cache {

TEST_CASE("an entry with a flipped bit in any region is a miss and is set aside", "[cache]") {
  const Scratch scratch;
  Messages messages;
  Store store({.directory = scratch / "cache", .log = messages.sink()});
  const Entry entry = sample(1);
  const std::string good = encode(entry);
  const fs::path file = file_of(scratch / "cache", entry.key);
  // Magic, format, sections, created, table; name, record, metadata, image, source; checksum.
  for (const std::size_t at :
       {std::size_t{0}, std::size_t{8}, std::size_t{12}, std::size_t{16}, std::size_t{24}, std::size_t{56},
        std::size_t{70}, good.find("kernel 1"), good.find("registers"), good.find("rms_norm() {}") - 500,
        good.find("rms_norm() {}"), good.size() - 1}) {
    INFO("byte " << at);
    REQUIRE(store.insert(entry));
    REQUIRE(store.find(entry.key));
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 4);
    write_file(file, bad);
    CHECK_FALSE(store.find(entry.key));
    CHECK_FALSE(fs::exists(file));
    CHECK(read_file(fs::path(file).replace_extension(".bad")) == bad);
  }
  CHECK_THAT(messages.text(), Contains("is not used and set aside: its checksum does not match"));
  REQUIRE(store.insert(entry));
  CHECK(store.find(entry.key)->entry == entry);
}

TEST_CASE("a truncated entry is a miss and is set aside", "[cache]") {
  const Scratch scratch;
  Store store({.directory = scratch / "cache"});
  const Entry entry = sample(1);
  const std::string good = encode(entry);
  const fs::path file = file_of(scratch / "cache", entry.key);
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, std::size_t{8}, std::size_t{63}, std::size_t{64}, std::size_t{96},
        good.size() / 2, good.size() - 32, good.size() - 1}) {
    INFO("length " << size);
    write_file(file, good.substr(0, size));
    CHECK_FALSE(store.find(entry.key));
    CHECK_FALSE(fs::exists(file));
    CHECK(fs::exists(fs::path(file).replace_extension(".bad")));
  }
}

TEST_CASE("an intact entry under another's name is a miss", "[cache]") {
  const Scratch scratch;
  Messages messages;
  Store store({.directory = scratch / "cache", .log = messages.sink()});
  write_file(file_of(scratch / "cache", sample(1).key), encode(sample(2)));
  CHECK_FALSE(store.find(sample(1).key));
  CHECK_THAT(messages.text(), Contains("it holds the entry " + sample(2).key.name()));
}

TEST_CASE("what is no regular file is a miss and stays", "[cache]") {
  const Scratch scratch;
  Messages messages;
  Store store({.directory = scratch / "cache", .log = messages.sink()});
  const Key key = sample(1).key;
  fs::create_directories(file_of(scratch / "cache", key).parent_path());
  SECTION("a pipe") {
    REQUIRE(::mkfifo(file_of(scratch / "cache", key).c_str(), 0600) == 0);
    CHECK_FALSE(store.find(key));
    CHECK_THAT(messages.text(), Contains("no regular file"));
    CHECK(store.insert(sample(1)));
    CHECK(store.find(key));
  }
  SECTION("a directory") {
    fs::create_directories(file_of(scratch / "cache", key));
    CHECK_FALSE(store.find(key));
    CHECK_FALSE(store.insert(sample(1)));
    CHECK_THAT(messages.text(), Contains("no regular file") && Contains("is not kept"));
  }
}

TEST_CASE("a reader that found damage spares what was published since", "[cache]") {
  const Scratch scratch;
  std::string problem;
  const auto directory = Directory::open_private(scratch / "cache", problem);
  REQUIRE(directory);
  const Entry entry = sample(1);
  const std::string file = entry_file(entry.key);
  write_file(directory->path() / file, "damaged");
  const EntryFile damaged = directory->read(file);
  REQUIRE(damaged.damaged);
  REQUIRE(directory->publish(entry.key, encode(entry)) == 0);
  CHECK_FALSE(directory->set_aside(damaged.file.get(), file));
  CHECK(directory->find(entry.key) == entry);
  CHECK(count_files(directory->path(), ".bad") == 0);
}

TEST_CASE("readers that set damage aside never lose an entry published at the same moment", "[cache]") {
  const Scratch scratch;
  std::string problem;
  const auto directory = Directory::open_private(scratch / "cache", problem);
  REQUIRE(directory);
  const Entry entry = sample(1, 100);
  const std::string file = entry_file(entry.key);
  REQUIRE(directory->publish(entry.key, encode(entry)) == 0);
  fs::create_hard_link(directory->path() / file, scratch / "good");
  write_file(scratch / "damaged", "damaged");
  // Publication as the readers see it, but fast: an fsync would leave the race too little chance.
  const auto put = [&](const char* name) {
    fs::remove(scratch / "aside");
    fs::create_hard_link(scratch / name, scratch / "aside");
    fs::rename(scratch / "aside", directory->path() / file);
  };

  std::atomic<bool> done{false};
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&] {
      while (!done) directory->find(entry.key);
    });
  }
  bool lost = false;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(2);
  while (!lost && std::chrono::steady_clock::now() < end) {
    put("damaged");
    put("good");
    // For a moment it may be out of sight, but it comes back.
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    bool seen = false;
    while (!seen && std::chrono::steady_clock::now() < deadline) seen = fs::exists(directory->path() / file);
    lost = !seen;
  }
  done = true;
  for (std::thread& reader : readers) reader.join();
  CHECK_FALSE(lost);
  CHECK(directory->find(entry.key) == entry);
}

}  // namespace sprue::cache
