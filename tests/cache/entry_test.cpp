// The entry format: what is written comes back, and nothing else is taken for an entry.
#include "cache/entry.h"

#include "cache/fixture.h"
#include "sprue/error.h"
#include "support/catch.h"

namespace sprue::cache {

TEST_CASE("an entry comes back as it was encoded", "[cache]") {
  Entry entry = sample(1, 150'000);
  CHECK(decode_entry(encode(entry)) == entry);
  entry.source.clear();
  entry.image.clear();
  entry.metadata.clear();
  CHECK(decode_entry(encode(entry)) == entry);
  CHECK(encode(entry) == encode(entry));
}

TEST_CASE("a key and its name give each other", "[cache]") {
  const Key key = sample(1).key;
  CHECK(key.name() == key.request.hex() + "-0123456789abcdef");
  CHECK(Key::from_name(key.name()) == key);
  const std::string digits(64, 'a');
  CHECK(Key::from_name(digits + "-01234567"));
  CHECK_FALSE(Key::from_name(""));
  CHECK_FALSE(Key::from_name(digits));
  CHECK_FALSE(Key::from_name(digits + "-"));
  CHECK_FALSE(Key::from_name(digits + "-0123456"));
  CHECK_FALSE(Key::from_name(digits + "-0123456g"));
  CHECK_FALSE(Key::from_name(digits + "-../../../x"));
  CHECK_FALSE(Key::from_name(digits + "-" + std::string(65, '0')));
  CHECK_FALSE(Key::from_name(std::string(64, 'A') + "-01234567"));
}

TEST_CASE("two records have two digests", "[cache]") {
  CHECK(request_digest({{"a", "b"}}) == request_digest({{"a", "b"}}));
  CHECK(request_digest({{"a", "b"}}) != request_digest({{"ab", ""}}));
  CHECK(request_digest({{"a", "b"}, {"c", ""}}) != request_digest({{"a", "b"}}));
}

TEST_CASE("an entry under a key that is not its own is refused", "[cache]") {
  Entry entry = sample(1);
  entry.record[0].value = "another kernel";
  CHECK_THROWS_WITH(encode(entry),
                    Contains("must be its record's digest") && Contains(entry.key.request.hex()));
  entry = sample(1);
  entry.key.toolchain = "13.0";
  CHECK_THROWS_WITH(encode(entry), Contains("8 to 64 lower-case hexadecimal digits but is \"13.0\""));
}

TEST_CASE("every flipped bit is noticed", "[cache]") {
  const std::string good = encode(sample(1, 64));
  for (std::size_t at = 0; at < good.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ (1 << bit));
      std::string why;
      if (decode_entry(bad, &why) || why.empty()) FAIL("byte " << at << ", bit " << bit);
    }
  }
}

TEST_CASE("every other length is noticed", "[cache]") {
  const std::string good = encode(sample(1, 64));
  std::string why;
  for (std::size_t size = 0; size < good.size(); ++size) {
    why.clear();
    if (decode_entry(good.substr(0, size), &why) || why.empty()) FAIL("length " << size);
  }
  CHECK_FALSE(decode_entry(good + '\0', &why));
  CHECK_THAT(why, Contains("1 bytes follow"));
  CHECK_FALSE(decode_entry("", &why));
  CHECK_THAT(why, Contains("empty"));
}

TEST_CASE("the fuzz target starts from intact entries", "[cache]") {
  const fs::path seeds = fs::path(SPRUE_SOURCE_DIR) / "tests/fuzz/seeds/entry";
  CHECK(decode_entry(read_file(seeds / "whole.sprue")));
  CHECK(decode_entry(read_file(seeds / "bare.sprue")));
}

}  // namespace sprue::cache
