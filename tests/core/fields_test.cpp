// The encoding that keys and metadata are made of.
#include "core/fields.h"

#include "support/catch.h"

using namespace sprue;

TEST_CASE("fields round-trip, whatever bytes they hold") {
  const Fields fields = {{"a", ""}, {"", "b"}, {"name", std::string("\0\xff\n", 3)}, {"a", "again"}};
  CHECK(decode_fields(encode(fields)) == fields);
  CHECK(decode_fields("") == Fields{});
  CHECK(*find(fields, "a") == "");
  CHECK(find(fields, "absent") == nullptr);
}

TEST_CASE("no two lists have one encoding") {
  CHECK(encode({{"ab", "c"}}) != encode({{"a", "bc"}}));
  CHECK(encode({{"a", ""}, {"b", ""}}) != encode({{"a", "b"}}));
}

TEST_CASE("truncated or lying lengths are refused") {
  const std::string whole = encode({{"name", "value"}, {"x", "y"}});
  const std::size_t first = encode({{"name", "value"}}).size();
  for (std::size_t size = 1; size < whole.size(); ++size) {
    CAPTURE(size);
    CHECK(decode_fields(std::string_view(whole).substr(0, size)).has_value() == (size == first));
  }
  CHECK_FALSE(
      decode_fields("\xff\xff\xff\xff"
                    "abc"));
}
