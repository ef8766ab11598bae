// Feeds bytes to the parser of cache entries. What it takes for an entry must be encoded to the same bytes
// again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "cache/bytes.h"
#include "cache/entry.h"

namespace {

void decode(const std::string& bytes) {
  std::string why;
  const auto entry = sprue::cache::decode_entry(bytes, &why);
  if (entry ? sprue::cache::encode(*entry) != bytes : why.empty()) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string bytes(reinterpret_cast<const char*>(data), size);
  decode(bytes);
  // Again with a checksum that is right, or the parser would never see damage behind it.
  if (size < 32) return 0;
  bytes.resize(size - 32);
  bytes += sprue::cache::view(sprue::sha256(bytes));
  decode(bytes);
  return 0;
}
