// SHA-256 and its hexadecimal form.
#include "core/digest.h"

#include "support/catch.h"

using namespace sprue;

// The examples of FIPS 180-2, appendix B.
TEST_CASE("sha256 gives the published digests") {
  CHECK(sha256("").hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256("abc").hex() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256(std::string(1'000'000, 'a')).hex() ==
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("hexadecimal digests round-trip and anything else is refused") {
  const Digest digest = sha256("sprue");
  CHECK(Digest::from_hex(digest.hex()) == digest);
  CHECK_FALSE(Digest::from_hex(""));
  CHECK_FALSE(Digest::from_hex(digest.hex().substr(1)));
  CHECK_FALSE(Digest::from_hex(digest.hex() + "0"));
  std::string upper = digest.hex();
  upper[0] = 'G';
  CHECK_FALSE(Digest::from_hex(upper));
}
